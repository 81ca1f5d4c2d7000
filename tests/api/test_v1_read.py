"""Reading: lists by cursor, one envelope, its files by range, its proof."""

from __future__ import annotations

import hashlib
import io
import threading
from base64 import b64encode
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.files import Span, disposition, requested_span
from api.problems import Problem
from archive.proof import PackVerdict, verify_pack
from archive.record import RecordFile, seal_record
from archive.store import Ref
from registry.door import Platform
from registry.models import SealedRecord, StoredFile
from schemas.states import Etat
from signing.seal import SealKey, make_sandbox_seal
from tests.api.conftest import Doors
from tests.api.deposit import deposit, document
from tests.samples.pdf import plain_pdf


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [element["id"] for element in answer.json()["elements"]]


def test_the_list_is_walked_by_cursor_newest_first(doors: Doors) -> None:
    made = [deposit(doors, numero=f"N{n}").json()["id"] for n in range(5)]
    seen: list[str] = []
    url = "/v1/actes?limite=2&nature=1"
    while url:
        answer = doors.get(url)
        seen += ids(answer)
        url = answer.links.get("next", {}).get("url", "")
        assert ("nature=1" in url) or not url
        assert answer.json()["total"] is None
    assert seen == sorted(made, reverse=True)
    assert doors.get("/v1/actes?limite=2&total=oui").json()["total"] == 5


def test_every_filter_narrows_the_list(doors: Doors) -> None:
    a = deposit(doors, numero="A1", objet="Tarifs de la médiathèque").json()["id"]
    b = deposit(doors, numero="B2", objet="Voirie communale", matiere="8.3").json()["id"]
    doors.put_in_state(b, Etat.SCELLE)
    today = datetime.now(UTC).date().isoformat()
    for query, expected in (
        ("q=mediatheques", [a]),
        ("q=médiathèques", [a]),
        ("q=B2", [b]),
        ("etat=scelle", [b]),
        ("famille=en_cours", [a]),
        ("matiere=8.3", [b]),
        ("nature=2", []),
        (f"depose_du={today}", [b, a]),
        ("depose_au=2020-01-01", []),
        ("ar_du=2020-01-01", []),
        ("transaction=6-1", []),
        ("q=('&etat=depose", []),
    ):
        assert ids(doors.get(f"/v1/actes?{query}")) == expected, query


def test_one_envelope_waits_for_a_change_when_asked(doors: Doors) -> None:
    acte = deposit(doors).json()["id"]
    mover = threading.Timer(0.2, doors.put_in_state, (acte, Etat.SCELLE))
    mover.start()
    answer = doors.get(f"/v1/actes/{acte}", headers={"Prefer": "respond-async, wait=20"})
    mover.join()
    assert answer.json()["etat"] == "scelle"
    assert answer.headers["preference-applied"] == "wait=20"


def test_events_tell_the_timeline_in_both_languages(doors: Doors) -> None:
    acte = deposit(doors).json()["id"]
    french = doors.get(f"/v1/actes/{acte}/evenements").json()["elements"]
    english = doors.get(f"/v1/actes/{acte}/evenements", headers={"Accept-Language": "en"}).json()["elements"]
    assert [e["texte"] for e in french] == ["Déposé"]
    assert [e["texte"] for e in english] == ["Deposited"]


def test_a_file_comes_back_whole_under_a_safe_name(doors: Doors) -> None:
    content = plain_pdf("Original")
    envoi = deposit(doors, files=[document(content, "budget « é ».pdf")]).json()
    answer = doors.get(envoi["pieces"][0]["contenu"])
    assert answer.status_code == 200
    assert answer.content == content
    digest = b64encode(hashlib.sha256(content).digest()).decode()
    assert f"sha-256=:{digest}:" in answer.headers["content-digest"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-disposition"] == (
        'attachment; filename="budget ? ? ?.pdf"; '.replace("?", "_")
        + "filename*=UTF-8''budget%20%C2%AB%20%C3%A9%20%C2%BB.pdf"
    )


def test_a_file_comes_by_range(doors: Doors) -> None:
    content = plain_pdf("Original")
    piece = deposit(doors, files=[document(content)]).json()["pieces"][0]
    answer = doors.get(piece["contenu"], headers={"Range": "bytes=300-399"})
    assert (answer.status_code, answer.content) == (206, content[300:400])
    assert answer.headers["content-range"] == f"bytes 300-399/{len(content)}"
    assert "content-digest" not in answer.headers
    tail = doors.get(piece["contenu"], headers={"Range": "bytes=-5"})
    assert tail.content == content[-5:]
    beyond = doors.get(piece["contenu"], headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "plage_invalide")
    etag = answer.headers["etag"]
    assert doors.get(piece["contenu"], headers={"If-None-Match": etag}).status_code == 304
    stale = doors.get(piece["contenu"], headers={"Range": "bytes=0-1", "If-Range": '"autre"'})
    assert (stale.status_code, len(stale.content)) == (200, len(content))


@given(
    header=st.from_regex(r"bytes=[0-9]{0,20}-[0-9]{0,20}", fullmatch=True) | st.text(),
    size=st.integers(0, 50),
)
def test_a_range_always_lies_within_the_file(header: str, size: int) -> None:
    try:
        span = requested_span(header, size)
    except Problem:
        return
    assert span is None or (span.length > 0 and span.offset >= 0 and span.offset + span.length <= size)


def test_ranges_that_this_server_does_not_serve_mean_the_whole_file() -> None:
    assert requested_span("bytes=0-1,4-5", 10) is None
    assert requested_span("lines=0-1", 10) is None
    assert requested_span("bytes=5-2", 10) is None
    assert requested_span("bytes=2-", 10) == Span(2, 8)


@given(st.text())
def test_a_name_never_breaks_out_of_its_header(name: str) -> None:
    header = disposition(name.encode("utf-8", "replace").decode())
    assert header.isascii()
    assert header.isprintable()


def test_a_lost_object_is_said_not_hidden(doors: Doors) -> None:
    envoi = deposit(doors).json()
    doors.store.delete(doors.objects()[0])
    answer = doors.get(envoi["pieces"][0]["contenu"])
    assert (answer.status_code, answer.json()["code"]) == (500, "fichier_altere")
    assert doors.mine.id not in answer.text


@pytest.fixture(scope="module")
def seal_key() -> SealKey:
    return SealKey.load(*make_sandbox_seal("Essai", datetime.now(UTC)))


def sealed(doors: Doors, key: SealKey, enveloppe_id: str) -> None:
    with doors.services.register.session(Platform("test")) as session:
        file = session.query(StoredFile).filter_by(enveloppe_id=enveloppe_id).one()
        ref = Ref(file.bucket, file.object_key, file.sha256, file.sha512, file.size)
        record = seal_record(
            doors.store, key, prefix=f"{file.collectivite_id}/{enveloppe_id}/v1",
            files=[RecordFile("original/acte.pdf", ref)], texts={"chronologie.txt": b"Bonjour"},
            sealed_at=datetime.now(UTC),
        )  # fmt: skip
        session.add(
            SealedRecord(
                id=f"enr_{enveloppe_id}", collectivite_id=file.collectivite_id, enveloppe_id=enveloppe_id,
                version=1, sealed_at=datetime.now(UTC), manifest_sha512=record.manifest.sha512,
                manifest_bucket=record.manifest.bucket, manifest_key=record.manifest.key,
                manifest_size=record.manifest.size, locked=False,
            )
        )  # fmt: skip


def test_the_proof_is_a_pack_that_verifies(doors: Doors, seal_key: SealKey) -> None:
    acte = deposit(doors).json()["id"]
    early = doors.get(f"/v1/actes/{acte}/preuve")
    assert (early.status_code, early.json()["code"]) == (409, "preuve_pas_encore")
    sealed(doors, seal_key, acte)
    answer = doors.get(f"/v1/actes/{acte}/preuve")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    report = verify_pack(io.BytesIO(answer.content))
    assert report.verdict is PackVerdict.TO_COMPARE, report
    altered = verify_pack(io.BytesIO(answer.content[:-1] + b"\x01"))
    assert altered.verdict is PackVerdict.REFUSED


def test_an_altered_object_gives_no_proof(doors: Doors, seal_key: SealKey) -> None:
    envoi = deposit(doors).json()
    sealed(doors, seal_key, envoi["id"])
    doors.store.put_bytes(f"{doors.mine.id}/{envoi['id']}/{envoi['pieces'][0]['id']}", b"autre chose")
    answer = doors.get(f"/v1/actes/{envoi['id']}/preuve")
    assert (answer.status_code, answer.json()["code"]) == (500, "fichier_altere")


def test_archives_are_searched_with_the_same_filters(doors: Doors, seal_key: SealKey) -> None:
    acte = deposit(doors, objet="Tarifs").json()["id"]
    sealed(doors, seal_key, acte)
    deposit(doors, numero="N2")
    found = doors.get("/v1/archives?q=tarif").json()["elements"]
    assert [(e["enveloppe"], e["version"], e["producteur"]) for e in found] == [(acte, 1, "Montfort")]
    assert doors.get("/v1/archives?q=rien").json()["elements"] == []


def test_the_classification_is_the_national_one_until_the_bodys_own_comes(doors: Doors) -> None:
    shown = doors.get("/v1/classification").json()
    assert date.fromisoformat(shown["date_version"]) <= datetime.now(UTC).date()
    deliberation = next(n for n in shown["natures"] if n["code"] == 1)
    assert deliberation["type_piece_par_defaut"] == "99_DE"
    assert "7.10" in {m["code"] for m in shown["matieres"]}


def test_a_caller_is_told_what_it_may_do(doors: Doors) -> None:
    shown = doors.get("/v1/introspection").json()
    assert (shown["siren"], shown["collectivite"]) == ("213502388", "Montfort")
    assert "actes:deposer" in shown["droits"]
