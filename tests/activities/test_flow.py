"""The steps of an envelope, one after the other, on a real register and a real store."""

from __future__ import annotations

import io
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from temporalio.exceptions import ApplicationError

from activities.contracts import (
    Decision,
    DecisionTaken,
    Departure,
    EnvelopeRef,
    ReturnArrived,
    Silence,
    Withdrawal,
)
from activities.returns import Returns
from archive.proof import PackVerdict, verify_pack, write_pack
from archive.store import Ref
from gateways.antivirus import Verdict
from gateways.errors import MayHaveLeft, NotLeft, Reason
from registry import flow
from registry.door import Platform
from registry.models import ReturnMail, SealedRecord, TransmissionWindow
from schemas.actes import answers
from schemas.actes.classification import national
from tests.activities.world import World
from tests.samples.actes import pdf

SOON = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def returns(world: World) -> Returns:
    return world.returns(None, None)  # type: ignore[arg-type]


def arrived(signal: tuple[str, ReturnArrived | None] | None) -> ReturnArrived | None:
    assert signal is not None
    return signal[1]


def sealed(world: World, ref: EnvelopeRef) -> list[SealedRecord]:
    with world.register.session(Platform("test")) as session:
        return list(
            session.scalars(
                select(SealedRecord)
                .where(SealedRecord.enveloppe_id == ref.enveloppe_id)
                .order_by(SealedRecord.version)
            )
        )


def quarantined(world: World) -> list[ReturnMail]:
    with world.register.session(Platform("test")) as session:
        return list(session.scalars(select(ReturnMail).where(ReturnMail.state == "quarantined")))


def pack(world: World, record: SealedRecord) -> bytes:
    out = io.BytesIO()
    manifest = Ref(
        record.manifest_bucket, record.manifest_key, "", record.manifest_sha512, record.manifest_size
    )
    write_pack(out, world.store, manifest)
    return out.getvalue()


def test_an_act_ends_in_a_record_that_proves_itself(world: World, returns: Returns) -> None:
    ref = world.sent(numero="2026_7")
    assert arrived(returns.take(world.ar(ref))) is not None
    world.run(world.sealing.certify, ref)
    world.run(world.sealing.seal, ref)
    assert world.row(ref).etat == "scelle"
    assert world.codes(ref) == [
        "depose", "controle", "mis_sous_enveloppe", "transmis", "acquitte", "tamponne", "bordereau", "scelle",
    ]  # fmt: skip
    (record,) = sealed(world, ref)
    report = verify_pack(io.BytesIO(pack(world, record)), expected_fingerprint=world.seal_key.fingerprint)
    assert report.verdict is PackVerdict.GENUINE, report


def test_each_piece_of_the_record_is_the_one_that_was_sent_under_its_name(
    world: World, returns: Returns
) -> None:
    ref = world.sent(document=pdf(text="Acte"), annexe=pdf(pages=2, text="Annexe"))
    returns.take(world.ar(ref))
    world.run(world.sealing.certify, ref)
    world.run(world.sealing.seal, ref)
    ((_, sent),) = world.wire.received
    with tarfile.open(fileobj=io.BytesIO(sent)) as archive:
        left = {m.name: archive.extractfile(m).read() for m in archive if m.name.endswith(".pdf")}  # type: ignore[union-attr]
    with zipfile.ZipFile(io.BytesIO(pack(world, sealed(world, ref)[0]))) as record:
        kept = {
            name.removeprefix("pieces/"): record.read(name)
            for name in record.namelist()
            if name.startswith("pieces/")
        }
    assert kept == left
    assert len(kept) == 2
    assert [file.position for file in world.files(ref, "tamponne")] == [1, 2]


def test_what_leaves_is_the_norms_archive(world: World) -> None:
    ref = world.sent(numero="2026_8")
    ((name, data),) = world.wire.received
    assert name == world.row(ref).archive_nom
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
    assert names[0] == name.removeprefix("PLI-").replace(".tar.gz", ".xml")
    assert [n.rsplit("_", 1)[1] for n in names[1:]] == ["0.xml", "1.pdf"]


def test_steps_that_run_twice_change_nothing_more(world: World, returns: Returns) -> None:
    ref = world.packaged()
    for step in (world.checking.check, world.packaging.package):
        assert world.run(step, ref).accepted
    for _ in range(2):
        assert world.run(world.transmission.transmit, ref).departure is Departure.ANSWERED
    mail = world.ar(ref)
    assert arrived(returns.take(mail)) == arrived(returns.take(mail))
    for _ in range(2):
        world.run(world.sealing.certify, ref)
    for _ in range(2):
        world.run(world.sealing.seal, ref)
    assert len(world.wire.received) == 1
    assert len(sealed(world, ref)) == 1
    assert len(world.codes(ref)) == len(set(world.codes(ref)))


def test_a_virus_refuses_and_frees_the_number(world: World) -> None:
    world.scanner.verdict = Verdict.INFECTED
    ref = world.deposit()
    assert not world.run(world.checking.check, ref).accepted
    row = world.row(ref)
    assert row.etat == "refuse"
    assert row.refus == [{"code": "virus_trouve", "place": "/document", "params": {"virus": "Eicar-Test"}}]
    assert not row.numero_retenu


def test_without_antivirus_the_timeline_says_so(world: World) -> None:
    world.scanner.verdict = Verdict.NOT_SCANNED
    ref = world.deposit()
    world.run(world.checking.check, ref)
    assert world.codes(ref)[-1] == "controle_sans_antivirus"


def test_a_file_that_is_no_pdf_inside_is_refused(world: World) -> None:
    ref = world.deposit(b"%PDF-1.7\nnothing of the kind\n%%EOF\n")
    assert not world.run(world.checking.check, ref).accepted
    assert world.row(ref).etat == "refuse"


def test_what_certainly_did_not_leave_is_raised_to_be_tried_again(world: World) -> None:
    ref = world.packaged()
    world.wire.failures = [NotLeft(Reason.UNREACHABLE), NotLeft(Reason.UNREACHABLE)]
    for _ in range(2):
        with pytest.raises(ApplicationError) as failure:
            world.run(world.transmission.transmit, ref)
        assert failure.value.type == "not_left"
        assert not failure.value.non_retryable
    assert world.codes(ref).count("transmission_differee") == 1
    assert world.run(world.transmission.transmit, ref).departure is Departure.ANSWERED


def test_what_may_have_left_waits_and_is_not_sent_again(world: World) -> None:
    ref = world.packaged()
    world.wire.failures = [MayHaveLeft(Reason.NO_ANSWER)]
    for _ in range(2):
        assert world.run(world.transmission.transmit, ref).departure is Departure.UNKNOWN
    assert world.row(ref).etat == "incertain"
    assert world.wire.received == []


def test_a_worker_that_died_while_sending_leaves_it_uncertain(world: World) -> None:
    ref = world.packaged()
    with world.register.session(Platform("test")) as session:
        flow.begin_attempt(session, flow.locked(session, ref.enveloppe_id), 10, datetime.now(UTC))
    assert world.run(world.transmission.transmit, ref).departure is Departure.UNKNOWN
    assert world.row(ref).etat == "incertain"
    assert world.wire.received == []


def test_a_person_decides_after_silence_and_it_is_sent_a_second_time(world: World) -> None:
    ref = world.packaged()
    world.wire.failures = [MayHaveLeft(Reason.NO_ANSWER)]
    world.run(world.transmission.transmit, ref)
    decide = DecisionTaken(
        ref.enveloppe_id, ref.collectivite_id, Decision("renvoyer", "usr_1", "Agnès Martin")
    )
    assert not world.run(world.transmission.record_decision, decide), "nobody decides before the set date"
    silence = Silence(ref.enveloppe_id, ref.collectivite_id, next_reminder=SOON)
    world.run(world.transmission.record_silence, silence)
    row = world.row(ref)
    assert (row.etat, row.famille, row.awaits, row.echeance) == ("a_decider", "a_faire", "responsable", SOON)
    assert world.run(world.transmission.record_decision, decide)
    assert world.run(world.transmission.transmit, ref).departure is Departure.ANSWERED
    assert len(world.wire.received) == 1


def test_giving_up_frees_the_number(world: World) -> None:
    ref = world.sent()
    world.run(
        world.transmission.record_silence, Silence(ref.enveloppe_id, ref.collectivite_id, next_reminder=SOON)
    )
    given_up = DecisionTaken(
        ref.enveloppe_id,
        ref.collectivite_id,
        Decision("abandonner", "usr_1", "Agnès Martin", "doublon papier"),
    )
    assert world.run(world.transmission.record_decision, given_up)
    row = world.row(ref)
    assert (row.etat, row.echeance, row.numero_retenu) == ("abandonne", None, False)


def test_a_reminder_is_said_once_a_date(world: World) -> None:
    ref = world.sent()
    silence = Silence(ref.enveloppe_id, ref.collectivite_id, next_reminder=SOON)
    later = Silence(ref.enveloppe_id, ref.collectivite_id, next_reminder=SOON + timedelta(days=1))
    for said in (silence, silence, later, later):
        world.run(world.transmission.record_silence, said)
    assert world.codes(ref)[-2:] == ["silence", "rappel"]


def test_a_full_byte_quota_holds_back_until_its_end(world: World) -> None:
    with world.register.session(Platform("test")) as session:
        session.add(TransmissionWindow(kind="hour", begins=None, ends=None, limit_bytes=1))
    world.sent()
    ref = world.packaged()
    held = world.run(world.transmission.transmit, ref)
    assert held.departure is Departure.LATER
    assert held.not_before is not None
    assert held.not_before.minute == 0
    assert world.codes(ref)[-1] == "quota_atteint"


def test_withdrawn_before_it_left(world: World) -> None:
    ref = world.deposit()
    world.run(
        world.transmission.withdraw,
        Withdrawal(ref.enveloppe_id, ref.collectivite_id, "usr_1", "Agnès Martin"),
    )
    assert world.row(ref).etat == "retire"


def test_an_acknowledgement_received_twice_changes_nothing(world: World, returns: Returns) -> None:
    ref = world.sent()
    returns.take(world.ar(ref))
    again = returns.take(world.ar(ref, name="ar-1-2_5279.xml"))
    assert arrived(again) is None
    assert world.row(ref).etat == "acquitte"
    assert world.codes(ref)[-1] == "retour_en_double"


def test_an_anomaly_after_the_acknowledgement_is_kept_not_applied(world: World, returns: Returns) -> None:
    ref = world.sent()
    returns.take(world.ar(ref))
    assert arrived(returns.take(world.anomaly(ref))) is None
    assert world.row(ref).etat == "acquitte"
    assert world.codes(ref)[-1] == "anomalie_apres_ar"
    assert len(world.files(ref, "retour")) == 2


def test_an_anomaly_frees_the_number_and_is_sealed(world: World, returns: Returns) -> None:
    ref = world.sent(numero="2026_9")
    signal = arrived(returns.take(world.anomaly(ref)))
    assert signal is not None
    assert signal.transaction == "1-3"
    world.run(world.sealing.seal, ref)
    row = world.row(ref)
    assert (row.etat, row.numero_retenu) == ("anomalie", False)
    assert world.codes(ref)[-2:] == ["anomalie", "anomalie_scellee"]
    assert len(sealed(world, ref)) == 1
    corrected = world.sent(numero="2026_9", precedente_id=ref.enveloppe_id)
    returns.take(world.ar(corrected))
    assert world.row(corrected).etat == "acquitte"
    assert world.row(ref).etat == "anomalie"


def test_an_answer_before_the_transmission_was_recorded_is_applied(world: World, returns: Returns) -> None:
    ref = world.sent()
    mail = world.ar(ref)
    world.set(ref, etat="pret", date_transmission=None)
    assert arrived(returns.take(mail)) is not None
    row = world.row(ref)
    assert row.etat == "acquitte"
    assert row.date_transmission is not None


def test_a_return_for_what_never_left_goes_to_quarantine(world: World, returns: Returns) -> None:
    gone = world.sent(numero="2026_10")
    mail = world.ar(gone)
    stays = world.packaged(numero="2026_11")
    id_acte = world.row(gone).id_acte
    world.set(gone, id_acte=None)
    world.set(stays, id_acte=id_acte)
    assert returns.take(mail) is None
    (row,) = quarantined(world)
    assert row.reason == "quarantaine_pas_parti"
    assert world.row(stays).etat == "pret"


@pytest.mark.parametrize("raw", [b"", b"not a mail", b"Subject: x\r\n\r\nhello", b"\xff\x00\xfe"])
def test_what_matches_nothing_is_kept_in_quarantine(world: World, returns: Returns, raw: bytes) -> None:
    assert returns.take(raw) is None
    assert returns.take(raw) is None, "seen before"
    (row,) = quarantined(world)
    assert (
        world.store.read(Ref(row.bucket, row.object_key, row.sha256, row.message_sha512, row.size), 2**20)
        == raw
    )


@pytest.mark.parametrize(
    "lie",
    [
        (b'insee:SIREN="219900016"', b'insee:SIREN="249900010"'),
        (b'actes:DateReception="20', b'actes:DateReception="19'),
        (b'actes:DateReception="20', b'actes:DateReception="21'),
    ],
)
def test_a_return_that_contradicts_itself_goes_to_quarantine(
    world: World, returns: Returns, lie: tuple[bytes, bytes]
) -> None:
    ref = world.sent()
    assert returns.take(world.ar(ref, lie=lie)) is None
    assert [row.reason for row in quarantined(world)] == ["quarantaine_discordant"]
    assert world.row(ref).etat == "transmis"


@pytest.mark.parametrize(
    "inner",
    [
        b'<actes:Matieres><actes:Matiere1 actes:CodeMatiere="x" actes:Libelle="y"/></actes:Matieres>',
        b"",
    ],
)
def test_a_classification_that_cannot_be_loaded_goes_to_quarantine(
    world: World, returns: Returns, inner: bytes
) -> None:
    asked = world.sent(transaction="7-1", numero=None, id_acte=None, files=(), classification_date=None)
    xml = (
        b'<actes:RetourClassification xmlns:actes="http://www.interieur.gouv.fr/ACTES#v1.1-20040216">'
        b"<actes:DateClassification>2026-01-01</actes:DateClassification>"
        + inner
        + b"</actes:RetourClassification>"
    )
    assert returns.take(world.mail("7-2.xml", xml)) is None
    assert [row.reason for row in quarantined(world)] == ["quarantaine_illisible"]
    assert world.row(asked).etat == "transmis"


def test_an_acknowledgement_of_an_unknown_act_goes_to_quarantine(world: World, returns: Returns) -> None:
    ref = world.sent()
    mail = world.ar(ref)
    world.set(ref, id_acte=None)
    assert returns.take(mail) is None
    assert [row.reason for row in quarantined(world)] == ["quarantaine_sans_envoi"]


def test_a_cancelled_act_is_sealed_again(world: World, returns: Returns) -> None:
    act = world.sent(numero="2026_12")
    returns.take(world.ar(act))
    world.run(world.sealing.certify, act)
    world.run(world.sealing.seal, act)
    row = world.row(act)
    cancel = world.sent(
        numero="2026_12", transaction="6-1", id_acte=row.id_acte, acte_id=act.enveloppe_id, files=()
    )
    assert row.id_acte is not None
    xml = answers.build_ar_annulation(id_acte=row.id_acte, date_reception=datetime.now(UTC).date())
    assert arrived(returns.take(world.mail("ar-6-2.xml", xml))) is not None
    world.run(world.sealing.certify, cancel)
    for _ in range(2):
        world.run(world.sealing.seal, cancel)
    assert world.row(act).etat == "annule"
    assert world.row(cancel).etat == "scelle"
    assert [record.version for record in sealed(world, act)] == [1, 2]
    second = pack(world, sealed(world, act)[1])
    assert b"annulation/retour/0-ar-6-2.xml" in second
    assert xml in second


def test_a_new_classification_is_loaded_for_its_authority(world: World, returns: Returns) -> None:
    ref = world.sent(transaction="7-1", numero=None, id_acte=None, files=(), classification_date=None)
    xml = answers.build_retour_classification(national())
    assert arrived(returns.take(world.mail("999-219900016----7-2_1.xml", xml))) is not None
    world.run(world.sealing.certify, ref)
    world.run(world.sealing.seal, ref)
    assert "classification_recue" in world.codes(ref)
    again = world.sent(transaction="7-1", numero=None, id_acte=None, files=(), classification_date=None)
    same = answers.build_classification_sans_changement(national().date_version)
    assert arrived(returns.take(world.mail("x-7-3.xml", same))) is not None
    assert "classification_inchangee" in world.codes(again)
