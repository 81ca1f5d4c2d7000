"""The stand-in, as a process of its own: what it takes, what it answers, how it misbehaves."""

from __future__ import annotations

import socket
import ssl
import time
import urllib.error
from datetime import date, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

from gateways.errors import MayHaveLeft, NotLeft, Reason
from gateways.ministry import MinistryWire
from sandbox.journal import Journal, Outgoing, Receipt
from sandbox.maildir import Maildir
from sandbox.pki import Pki, make_pki
from schemas.actes import schema
from schemas.actes.classification import national, parse_classification
from schemas.actes.returns import parse_return
from schemas.xml import parse
from tests.samples.actes import ADRESSES, EMETTEUR, TODAY
from tests.sandbox.archives import (
    a_cancellation,
    a_classification_request,
    an_act,
    mails,
    returns,
    send,
)
from tests.sandbox.processes import RunningMinistry, mail_server, mailbox, ministry

Running = tuple[Path, RunningMinistry]


@pytest.fixture
def place(running: Running) -> Running:
    """The stand-in without rules and with an empty mailbox."""
    folder, started = running
    started.ask("DELETE", "/reglages")
    for path in (folder / "courrier" / "new").iterdir():
        path.unlink()
    return running


def times(started: RunningMinistry, archive: tuple[str, bytes]) -> int:
    return sum(one["fois"] for one in started.received() if one["archive"] == archive[0])


def outcome(started: RunningMinistry, archive: tuple[str, bytes]) -> tuple[type, Reason, int | None]:
    with pytest.raises((NotLeft, MayHaveLeft)) as caught:
        send(started.wire(), archive)
    return type(caught.value), caught.value.reason, caught.value.status


# What it answers


def test_an_act_is_acknowledged_by_mail(place: Running) -> None:
    folder, started = place
    archive = an_act("AR_1")
    send(started.wire(), archive)
    [raw] = mails(folder, 1)
    mail = message_from_bytes(raw)
    names = [part.get_filename() for part in mail.walk() if part.get_filename()]
    assert mail["To"] == ", ".join(ADRESSES)
    assert len(names) == 2
    assert names[0].startswith(f"TACT--SPREF0441-{EMETTEUR.siren}-")
    assert "-AR_1-DE-1-2_" in names[1]
    [returned] = [part.get_payload(decode=True) for part in mail.walk() if part.get_filename() == names[1]]
    assert b"ISO-8859-1" in returned[:80]
    assert schema.validate(parse(returned, place="AR"), place="AR") == []


def test_the_acknowledgement_names_act_and_day(place: Running) -> None:
    folder, started = place
    send(started.wire(), an_act("AR_2"))
    [found] = returns(folder)
    assert (found.transaction, found.numero, found.siren) == ("1-2", "AR_2", EMETTEUR.siren)
    assert found.id_acte == f"044-{EMETTEUR.siren}-20261120-AR_2-DE"
    assert found.date_reception is not None
    assert found.date_classification == national().date_version
    assert found.notes == ()


def test_a_cancellation_is_acknowledged(place: Running) -> None:
    folder, started = place
    id_acte = f"044-{EMETTEUR.siren}-20261120-AR_2-DE"
    send(started.wire(), a_cancellation(id_acte, "AR_2"))
    [found] = returns(folder)
    assert (found.transaction, found.id_acte) == ("6-2", id_acte)


@pytest.mark.parametrize("known", [None, national().date_version - timedelta(days=1)])
def test_the_classification_is_sent_to_who_has_none_or_an_older_one(
    place: Running, known: date | None
) -> None:
    folder, started = place
    send(started.wire(), a_classification_request(known))
    [found] = returns(folder)
    assert (found.transaction, found.siren) == ("7-2", EMETTEUR.siren)
    sent, ours = parse_classification(found.xml), national()
    assert (sent.date_version, sent.natures) == (ours.date_version, ours.natures)
    # Its labels are in the answer's ISO-8859-1.
    assert sent.matieres.keys() == ours.matieres.keys()


def test_who_is_up_to_date_is_told_so(place: Running) -> None:
    folder, started = place
    send(started.wire(), a_classification_request(national().date_version))
    [found] = returns(folder)
    assert (found.transaction, found.date_classification) == ("7-3", national().date_version)


def test_a_new_classification_makes_the_old_one_stale(place: Running) -> None:
    folder, started = place
    newer = TODAY + timedelta(days=1)
    started.ask("PUT", "/classification", {"date": newer.isoformat()})
    send(started.wire(), an_act("STALE_1"))
    [stale] = returns(folder)
    assert (stale.transaction, stale.anomalie_nature) == ("1-3", "002")
    assert str(stale.anomalie_detail).startswith("ODT-VERIF-01 : ")
    send(started.wire(), a_classification_request(national().date_version))
    [sent] = returns(folder)
    assert parse_classification(sent.xml).date_version == newer
    send(started.wire(), an_act("STALE_1", classification_date=newer))
    assert returns(folder)[0].transaction == "1-2"


def test_a_number_that_ends_in_nack_is_refused(place: Running) -> None:
    folder, started = place
    send(started.wire(), an_act("ESSAI_NACK"))
    [found] = returns(folder)
    assert (found.transaction, found.numero) == ("1-3", "ESSAI_NACK")


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_an_unreadable_archive_is_an_anomaly_of_its_envelope(place: Running, content: bytes) -> None:
    folder, started = place
    name, _ = an_act("X")
    send(started.wire(), (name, content))
    [found] = returns(folder)
    envelope = name.partition("-")[2].removesuffix(".tar.gz") + ".xml"
    assert (found.transaction, found.siren, found.faulty_envelope) == ("ANO", EMETTEUR.siren, envelope)


def test_an_envelope_under_another_name_is_an_anomaly(place: Running) -> None:
    folder, started = place
    (_, content), (other, _) = an_act("X1"), an_act("X2")
    send(started.wire(), (other, content))
    assert returns(folder)[0].transaction == "ANO"


def test_an_act_sent_twice_is_counted_and_keeps_its_day(place: Running) -> None:
    folder, started = place
    archive, again = an_act("TWICE"), an_act("TWICE")
    for one in (archive, archive, again):
        send(started.wire(), one)
    found = returns(folder, 3)
    assert {one.transaction for one in found} == {"1-2"}
    rows = [row for row in started.received() if row["numero"] == "TWICE"]
    assert [(row["fois"], row["fois_acte"]) for row in rows] == [(2, 3), (1, 3)]


# Who it takes archives from


def test_without_our_certificate_nothing_is_taken(place: Running, tmp_path: Path) -> None:
    _, started = place
    stranger = make_pki(tmp_path)
    wire = MinistryWire(
        started.url, certificate=stranger.client_certificate, key=stranger.client_key, ca=started.pki.ca
    )
    with pytest.raises(NotLeft) as caught:
        send(wire, an_act("STRANGER"))
    assert caught.value.reason is Reason.TLS_REFUSED


def test_what_is_no_form_is_refused(place: Running) -> None:
    _, started = place
    before = len(started.received())
    body = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\nabc"
    for head in (
        b"GET /actes HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /actes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
    ):
        assert raw_exchange(started, head).split()[1] in {b"400", b"405"}
    assert raw_exchange(started, b"nonsense\r\n\r\n") == b""
    assert len(started.received()) == before


def raw_exchange(started: RunningMinistry, request: bytes) -> bytes:
    context = ssl.create_default_context(cafile=started.pki.ca)
    context.load_cert_chain(started.pki.client_certificate, started.pki.client_key)
    port = int(started.url.split(":")[2].split("/")[0])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(request)
        try:
            return connection.recv(65536)
        except OSError:
            return b""


# How it misbehaves


def test_cut_before_the_last_byte_is_certain_and_not_counted(place: Running) -> None:
    _, started = place
    archive = an_act("CUT_1")
    started.rule("coupe_avant")
    kind, reason, _ = outcome(started, archive)
    assert kind is NotLeft
    assert reason in {Reason.TLS_REFUSED, Reason.CUT_WHILE_SENDING}
    assert times(started, archive) == 0
    send(started.wire(), archive)
    assert times(started, archive) == 1


def test_cut_of_one_collectivite_spares_the_others(place: Running) -> None:
    _, started = place
    archive, other = an_act("CUT_2"), an_act("CUT_2", siren="130025265")
    started.rule("coupe_avant", siren=EMETTEUR.siren)
    send(started.wire(), other)
    outcome(started, archive)
    assert (times(started, archive), times(started, other)) == (0, 1)


@pytest.mark.parametrize(("kept", "count"), [(True, 1), (False, 0)])
def test_cut_after_the_last_byte_may_have_left(place: Running, kept: bool, count: int) -> None:
    folder, started = place
    archive = an_act(f"CUT_3{kept}".upper())
    started.rule("coupe_apres", garde=kept)
    assert outcome(started, archive) == (MayHaveLeft, Reason.NO_ANSWER, None)
    assert times(started, archive) == count
    assert len(returns(folder, count)) == count


def test_refusal_after_the_archive_may_have_left(place: Running) -> None:
    _, started = place
    archive = an_act("HTTP_1")
    started.rule("refus_http", statut=500, numero="HTTP_1")
    send(started.wire(), an_act("HTTP_2"))
    assert outcome(started, archive) == (MayHaveLeft, Reason.UNEXPECTED_STATUS, 500)
    assert times(started, archive) == 0


def test_refusal_while_the_archive_comes_in_is_certain(place: Running) -> None:
    _, started = place
    name, _ = an_act("HTTP_3")
    started.rule("refus_http", statut=413, tot=True)
    kind, reason, _ = outcome(started, (name, bytes(64 * 2**20)))
    assert kind is NotLeft
    assert reason in {Reason.EARLY_ANSWER, Reason.CUT_WHILE_SENDING}


def test_anomalies_on_demand(place: Running) -> None:
    folder, started = place
    started.rule("anomalie_acte", numero="ANO_1")
    started.rule("anomalie_enveloppe", numero="ANO_2")
    for numero in ("ANO_1", "ANO_2", "ANO_3"):
        send(started.wire(), an_act(numero))
    assert [one.transaction for one in returns(folder, 3)] == ["1-3", "ANO", "1-2"]


def test_the_same_answer_twice(place: Running) -> None:
    folder, started = place
    started.rule("double_reponse")
    send(started.wire(), an_act("DOUBLE"))
    first, second = mails(folder, 2)
    assert first.split(b"\n\n", 1)[1].count(b"\n") == second.split(b"\n\n", 1)[1].count(b"\n")


def test_a_lie_about_the_encoding_is_survived(place: Running) -> None:
    folder, started = place
    started.rule("mauvais_encodage")
    send(started.wire(), an_act("ENCODAGE", objet="Été à l’école"))
    [found] = returns(folder)
    assert "encodage_corrige" in found.notes
    assert "Été".encode("latin-1") in found.xml


def test_an_answer_about_an_unknown_act_comes_beside_the_true_one(place: Running) -> None:
    folder, started = place
    started.rule("acte_inconnu")
    send(started.wire(), an_act("CONNU"))
    true, strange = returns(folder, 2)
    assert (true.numero, true.transaction, strange.transaction) == ("CONNU", "1-2", "1-2")
    assert strange.numero != "CONNU"
    assert strange.id_acte is not None
    assert f"-{strange.numero}-" in strange.id_acte


def test_silence(place: Running) -> None:
    folder, started = place
    started.rule("jamais")
    send(started.wire(), an_act("SILENCE"))
    send(started.wire(), an_act("PAROLE"))
    assert returns(folder)[0].numero == "PAROLE"


def test_a_delayed_answer_lets_others_pass(place: Running) -> None:
    folder, started = place
    started.rule("delai", secondes=0.3, numero="LENT")
    began = time.monotonic()
    send(started.wire(), an_act("LENT"))
    send(started.wire(), an_act("VITE"))
    assert returns(folder)[0].numero == "VITE"
    assert returns(folder)[0].numero == "LENT"
    assert time.monotonic() - began > 0.3


def test_down_until_told_otherwise(place: Running) -> None:
    _, started = place
    started.rule("panne")
    assert started.ask("GET", "/reglages")["panne"] is True
    assert outcome(started, an_act("PANNE"))[:2] == (NotLeft, Reason.UNREACHABLE)
    started.ask("DELETE", "/reglages")
    send(started.wire(), an_act("PANNE"))


def test_down_for_a_while(place: Running) -> None:
    _, started = place
    started.rule("panne", secondes=0.1)
    deadline = time.monotonic() + 5
    while started.ask("GET", "/reglages")["panne"] and time.monotonic() < deadline:
        pass
    send(started.wire(), an_act("PANNE_2"))


def test_rules_hold_as_often_as_they_say(place: Running) -> None:
    _, started = place
    started.rule("coupe_apres", fois=2, garde=False)
    started.rule("jamais", fois=None, numero="TOUJOURS")
    for _ in range(2):
        outcome(started, an_act("FOIS"))
    send(started.wire(), an_act("TOUJOURS"))
    assert [rule["comportement"] for rule in started.ask("GET", "/reglages")["reglages"]] == ["jamais"]


@pytest.mark.parametrize(
    "rule",
    [
        {},
        [],
        {"comportement": "danse"},
        {"comportement": "delai"},
        {"comportement": "jamais", "fois": 0},
        {"comportement": "refus_http", "statut": 200},
        {"comportement": "coupe_avant", "numero": "A"},
        {"comportement": "jamais", "siren": 1},
        {"comportement": "jamais", "autre": 1},
    ],
)
def test_unknown_rules_are_refused(place: Running, rule: object) -> None:
    _, started = place
    with pytest.raises(urllib.error.HTTPError) as caught:
        started.ask("POST", "/reglages", rule)
    with caught.value as error:
        assert error.code == 400
    assert started.ask("GET", "/reglages")["reglages"] == []


# What survives


def test_killed_at_any_moment_it_answers_what_it_took_once(tmp_path: Path, pki: Pki) -> None:
    archives = [an_act(f"KILL_{n}") for n in range(3)]
    with ministry(tmp_path, pki) as started:
        started.rule("delai", secondes=0.2, fois=None)
        for archive in archives:
            send(started.wire(), archive)
        started.process.kill()
    assert list((tmp_path / "courrier" / "new").iterdir()) == []
    with ministry(tmp_path, pki) as started:
        found = returns(tmp_path, 3)
        assert [one.numero for one in found] == ["KILL_0", "KILL_1", "KILL_2"]
        assert [row["fois"] for row in started.received()] == [1, 1, 1]
        assert len(started.ask("GET", "/reglages")["reglages"]) == 1


def test_killed_between_delivery_and_note_it_does_not_answer_again(tmp_path: Path, pki: Pki) -> None:
    (tmp_path / "etat").mkdir()
    journal = Journal(tmp_path / "etat" / "journal.sqlite")
    journal.receive(Receipt("a", "2026-11-23", "1-2"), [Outgoing(0, b"first"), Outgoing(0, b"second")])
    Maildir(tmp_path / "courrier").deliver([(f"{journal.mark}M000000001.ministere", b"first")])
    journal.close()
    with ministry(tmp_path, pki):
        assert mails(tmp_path, 2) == [b"first", b"second"]


def test_from_the_wire_to_the_collector(tmp_path: Path, pki: Pki) -> None:
    with ministry(tmp_path, pki) as started, mail_server(tmp_path) as port:
        send(started.wire(), an_act("TOUR"))
        got, deadline = list[bytes](), time.monotonic() + 10
        while not got and time.monotonic() < deadline:
            mailbox(port).collect(got.append)
    assert parse_return(got[0]).numero == "TOUR"
