"""What happens to an envelope, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from registry import flow
from registry.door import Conflict, NotFound, OneBody, OutOfScope, Platform, Register
from registry.models import Enveloppe, StoredFile, UploadIntent
from schemas.findings import Finding
from schemas.states import FAMILLE, TERMINAL, Etat
from tests.registry.rows import LATER, NOW, accepted, codes, new_acte, state, two_bodies


def test_accepting_writes_state_files_key_and_first_event_together(register: Register) -> None:
    body, _ = two_bodies(register)
    new = new_acte(body, key="k1")
    with register.session(OneBody(body)) as session:
        flow.begin_upload(session, new.id, body, NOW)
    with register.session(OneBody(body)) as session:
        flow.accept(session, new, now=NOW, echeance=LATER)
    with register.session(OneBody(body)) as session:
        envelope = flow.locked(session, new.id)
        assert (envelope.etat, envelope.famille, envelope.awaits) == ("depose", "en_cours", "pli")
        assert envelope.echeance == LATER
        assert [f.role for f in flow.files_of(session, new.id)] == ["document"]
        assert codes(session, new.id) == ["depose"]
        assert flow.known_key(session, "token:1", "k1") == ("f", new.id)
        assert session.scalar(select(UploadIntent)) is None


def test_a_number_is_held_once_per_authority(register: Register) -> None:
    body, other = two_bodies(register)
    accepted(register, body, "2026_1")
    with pytest.raises(Conflict) as conflict:
        accepted(register, body, "2026_1")
    assert conflict.value.code == "numero_deja_utilise"
    accepted(register, other, "2026_1")


def test_a_refused_number_is_free_again(register: Register) -> None:
    body, _ = two_bodies(register)
    first = accepted(register, body, "2026_1")
    with register.session(OneBody(body)) as session:
        flow.refuse(session, flow.locked(session, first), [Finding("x", "/numero")], NOW)
    second = accepted(register, body, "2026_1", precedente_id=first)
    with register.session(OneBody(body)) as session:
        assert codes(session, first) == ["depose", "refuse", "corrige_par"]
        assert flow.locked(session, second).precedente_id == first


def test_an_envelope_is_corrected_once_and_only_if_it_was_not_transmitted(register: Register) -> None:
    body, other = two_bodies(register)
    running = accepted(register, body)
    for wrong in (running, "acte_unknown", accepted(register, other)):
        with pytest.raises(Conflict) as conflict:
            accepted(register, body, precedente_id=wrong)
        assert conflict.value.code == "precedente_invalide"
    with register.session(OneBody(body)) as session:
        flow.refuse(session, flow.locked(session, running), [], NOW)
    accepted(register, body, precedente_id=running)
    with pytest.raises(Conflict):
        accepted(register, body, precedente_id=running)


def test_a_key_makes_one_envelope_under_concurrent_calls(register: Register) -> None:
    body, _ = two_bodies(register)

    def call(_: int) -> str:
        try:
            return accepted(register, body, key="same")
        except Conflict as conflict:
            return conflict.code

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(call, range(8)))
    assert outcomes.count("cle_en_cours") == 7
    with register.session(OneBody(body)) as session:
        assert len(session.scalars(select(Enveloppe)).all()) == 1
        assert len(session.scalars(select(StoredFile)).all()) == 1


def test_ranks_of_a_day_have_no_gap_under_concurrency(register: Register) -> None:
    body, other = two_bodies(register)
    day = date(2026, 11, 23)
    ids = [accepted(register, body) for _ in range(20)]

    def allot(enveloppe_id: str) -> int | None:
        try:
            with register.session(OneBody(body)) as session:
                rank = flow.allot_rank(session, flow.locked(session, enveloppe_id), day)
                if rank % 3 == 0 and enveloppe_id not in failed:
                    failed.add(enveloppe_id)
                    raise RuntimeError("a transaction that dies gives its rank back")  # noqa: TRY301
                return rank
        except RuntimeError:
            return None

    failed: set[str] = set()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(allot, ids))
        ranks = list(threads.map(allot, ids))
        ranks = [rank or allot(id_) for rank, id_ in zip(ranks, ids, strict=True)]
    assert sorted(r for r in ranks if r is not None) == list(range(1, 21))
    stranger = accepted(register, other)
    with register.session(OneBody(other)) as session:
        assert flow.allot_rank(session, flow.locked(session, stranger), day) == 1


def test_an_envelope_keeps_its_rank(register: Register) -> None:
    body, _ = two_bodies(register)
    one = accepted(register, body)
    for day in (date(2026, 11, 23), date(2026, 11, 24)):
        with register.session(OneBody(body)) as session:
            assert flow.allot_rank(session, flow.locked(session, one), day) == 1
    with register.session(OneBody(body)) as session:
        assert flow.locked(session, one).jour == date(2026, 11, 23)


def test_an_open_state_needs_a_next_date(register: Register) -> None:
    body, _ = two_bodies(register)
    one = accepted(register, body)
    with register.session(OneBody(body)) as session, pytest.raises(ValueError, match="next date"):
        flow.move(session, flow.locked(session, one), Etat.PRET, "mis_sous_enveloppe", "Pli", NOW)
    with pytest.raises(IntegrityError), register.session(OneBody(body)) as session:
        flow.locked(session, one).echeance = None


def test_every_state_has_a_family() -> None:
    assert set(FAMILLE) == set(Etat)
    assert set(Etat) > TERMINAL


def test_an_attempt_without_outcome_may_have_left(register: Register) -> None:
    body, _ = two_bodies(register)
    one = accepted(register, body)
    with register.session(OneBody(body)) as session:
        envelope = flow.locked(session, one)
        assert not flow.may_have_left(session, one)
        attempt = flow.begin_attempt(session, envelope, 10, NOW)
        session.flush()
        assert flow.may_have_left(session, one)
        flow.end_attempt(attempt, "not_left", NOW)
        session.flush()
        assert not flow.may_have_left(session, one)
        assert flow.begin_attempt(session, envelope, 10, NOW).number == 2


def test_another_body_sees_nothing_through_the_door(register: Register) -> None:
    body, other = two_bodies(register)
    one = accepted(register, body)
    with register.session(OneBody(other)) as session:
        assert session.scalars(select(Enveloppe)).all() == []
        assert session.scalars(select(StoredFile)).all() == []
        assert session.get(Enveloppe, one) is None
        with pytest.raises(NotFound):
            flow.locked(session, one)
    with register.session(Platform("test")) as session:
        assert len(session.scalars(select(Enveloppe)).all()) == 1


def test_writing_for_another_body_is_refused(register: Register) -> None:
    body, other = two_bodies(register)
    with pytest.raises(OutOfScope), register.session(OneBody(other)) as session:
        flow.accept(session, new_acte(body), now=NOW, echeance=LATER)


def test_a_return_finds_the_envelope_that_waits_for_it(register: Register) -> None:
    body, _ = two_bodies(register)
    id_acte = "999-219900016-20261120-N-DE"
    first = accepted(register, body, "N", id_acte=id_acte)
    with register.session(OneBody(body)) as session:
        envelope = flow.locked(session, first)
        envelope.archive_nom = "PLI-EACT--219900016--20261123-1.tar.gz"
        flow.move(session, envelope, Etat.ANOMALIE, "anomalie", "Ministère", NOW)
    second = accepted(register, body, "N", id_acte=id_acte)
    with register.session(Platform("test")) as session:
        assert flow.match_by_id_acte(session, "1-1", id_acte) == first, "the second has not left yet"
        flow.locked(session, second).archive_nom = "PLI-EACT--219900016--20261123-2.tar.gz"
        flow.move(
            session, flow.locked(session, second), Etat.TRANSMIS, "transmis", "Pli", NOW, echeance=LATER
        )
        assert flow.match_by_id_acte(session, "1-1", id_acte) == second
        assert flow.match_by_envelope_name(session, "EACT--219900016--20261123-1.xml") == first
        assert flow.match_by_id_acte(session, "6-1", id_acte) is None


def test_a_body_in_the_middle_of_a_move_changes_nothing_on_error(register: Register) -> None:
    body, _ = two_bodies(register)
    one = accepted(register, body)
    with pytest.raises(RuntimeError), register.session(OneBody(body)) as session:  # noqa: PT012
        flow.move(
            session, flow.locked(session, one), Etat.PRET, "mis_sous_enveloppe", "Pli", NOW, echeance=LATER
        )
        raise RuntimeError
    assert state(register, one) == "depose"
