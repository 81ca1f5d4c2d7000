"""Lists of the register: walked by key, scoped, each filter served by an index."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from registry import envelopes, flow
from registry.door import NotFound, OneBody, Platform, Register
from registry.envelopes import Filters
from schemas.identifiers import new_id
from schemas.states import Etat, Famille
from tests.registry.rows import NOW, accepted, two_bodies

MATIERES = ("7.10", "8.3", "1.1", "3.5")


def fill(register: Register, body: str, count: int, state: Etat = Etat.SCELLE) -> None:
    """`count` acts of the body, one a minute from 1 January 2026, written without the flow for speed."""
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    rows = [
        {
            "id": new_id("acte", datetime.fromtimestamp(begin + 60 * n, UTC), f"{body:0<6}{n:06}".encode()),
            "body": body,
            "numero": f"{body}_{n}"[-15:],
            "nature": str(1 + n % 6),
            "matiere": MATIERES[n % 4],
            "objet": f"Tarifs de la médiathèque {n}" if n % 50 == 0 else f"Voirie {n}",
            "texte": f"tarifs de la mediatheque {n}" if n % 50 == 0 else f"voirie {n}",
            "etat": state.value if n % 100 else "a_decider",
            "famille": "termine" if n % 100 else "a_faire",
            "ar": date(2026, 1 + n % 12, 1),
        }
        for n in range(count)
    ]
    with register.session(Platform("test")) as session:
        session.execute(
            text(
                "insert into enveloppe (id, transaction, collectivite_id, etat, famille, numero, nature,"
                " matiere, objet, texte_recherche, deposited_by, responsible_user_id, date_ar, echeance,"
                " created_at, updated_at) values"
                " (:id, '1-1', :body, :etat, :famille, :numero, :nature, :matiere, :objet, :texte, 'x',"
                " 'usr_1', :ar,"
                " case when :etat = 'a_decider' then now() end, now(), now())"
            ),
            rows,
        )


def test_pages_follow_each_other_without_gap_or_repeat(register: Register) -> None:
    mine, other = two_bodies(register)
    fill(register, mine, 250)
    fill(register, other, 30)
    seen: list[str] = []
    after = None
    while True:
        with register.session(OneBody(mine)) as session:
            page = envelopes.search(session, Filters(), limit=100, after=after, total=True)
        assert page.total == 250
        seen += [line.id for line in page.lines]
        after = page.suivant
        if after is None:
            break
    assert len(seen) == 250
    assert seen == sorted(seen, reverse=True)


def test_days_of_deposit_are_days_in_paris(register: Register) -> None:
    mine, _ = two_bodies(register)
    fill(register, mine, 1500)
    with register.session(OneBody(mine)) as session:

        def count(**days: date) -> int | None:
            return envelopes.search(session, Filters(**days), limit=1, total=True).total  # type: ignore[arg-type]

        # The first act is deposited at midnight UTC, one in the morning in Paris; 1,380 minutes are left.
        assert count(depose_au=date(2026, 1, 1)) == 1380
        assert count(depose_du=date(2026, 1, 2)) == 120
        assert count(depose_du=date(2026, 1, 1), depose_au=date(2026, 1, 1)) == 1380
        assert count(depose_au=date(2025, 12, 31)) == 0


EVERY_FILTER = (
    Filters(),
    Filters(etat=Etat.A_DECIDER),
    Filters(famille=Famille.A_FAIRE),
    Filters(nature=3),
    Filters(matiere="8.3"),
    Filters(q="médiathèque"),
    Filters(depose_du=date(2026, 1, 2), depose_au=date(2026, 1, 3)),
    Filters(ar_du=date(2026, 3, 1), ar_au=date(2026, 3, 31)),
    Filters(nature=2, famille=Famille.TERMINE, q="voirie"),
    Filters(famille=Famille.TERMINE, a_corriger=True),
)


def test_no_filter_reads_the_whole_table(register: Register) -> None:
    mine, other = two_bodies(register)
    fill(register, mine, 3000)
    fill(register, other, 3000)
    with register.session(Platform("test")) as session:
        session.execute(text("analyze enveloppe"))
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(register.engine, "before_cursor_execute", note)
    with register.session(OneBody(mine)) as session:
        for filters in EVERY_FILTER:
            assert envelopes.search(session, filters, limit=50).lines, filters
    event.remove(register.engine, "before_cursor_execute", note)
    with register.engine.connect() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"explain {statement}", parameters).scalars().all()
            assert "Seq Scan on enveloppe" not in "\n".join(plan), "\n".join(plan)


def test_counters_show_what_waits_and_stop_at_the_cap(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = two_bodies(register)
    fill(register, mine, 300)
    monkeypatch.setattr(envelopes, "COUNT_CAP", 2)
    with register.session(OneBody(mine)) as session:
        counts = envelopes.count_families(session)
    assert counts == {Famille.A_FAIRE: 2, Famille.ANOMALIE: 0, Famille.EN_COURS: 0}


def test_what_a_later_envelope_corrects_is_counted_no_more(register: Register) -> None:
    mine, _ = two_bodies(register)
    refused = accepted(register, mine, "2026_1")
    with register.session(OneBody(mine)) as session:
        flow.refuse(session, flow.locked(session, refused), [], NOW)
    with register.session(OneBody(mine)) as session:
        assert envelopes.count_families(session)[Famille.ANOMALIE] == 1
        assert envelopes.line(session, refused).responsable == "Agnès Martin"
    accepted(register, mine, "2026_1", precedente_id=refused)
    with register.session(OneBody(mine)) as session:
        assert envelopes.count_families(session)[Famille.ANOMALIE] == 0
        open_ones = Filters(famille=Famille.ANOMALIE, a_corriger=True)
        assert envelopes.search(session, open_ones, limit=5).lines == ()


@pytest.mark.parametrize(
    "words", ["mediatheque", "MÉDIATHÈQUE", "médiathèques", "oeuvre", "œuvres", "l'ecole"]
)
def test_words_are_found_with_or_without_accents_and_ligatures(register: Register, words: str) -> None:
    mine, _ = two_bodies(register)
    accepted(register, mine, objet="Œuvres de la médiathèque de l’École")
    with register.session(OneBody(mine)) as session:
        assert len(envelopes.search(session, Filters(q=words), limit=5).lines) == 1


def test_another_bodys_envelope_is_not_found(register: Register) -> None:
    mine, other = two_bodies(register)
    fill(register, mine, 1)
    with register.session(OneBody(mine)) as session:
        found = envelopes.search(session, Filters(), limit=1).lines[0].id
    with register.session(OneBody(other)) as session:
        for read in (envelopes.line, envelopes.whole, envelopes.latest_record):
            with pytest.raises(NotFound):
                read(session, found)
        assert envelopes.files(session, found) == ()
        assert envelopes.timeline(session, found) == ()
