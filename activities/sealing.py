"""After the ministry's answer: stamp, bordereau, and the sealed record in the vault."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session
from temporalio import activity

from activities import contracts
from activities.alive import kept_alive
from activities.common import PARIS, file_ref, fresh_id, now, object_key, ref_of
from activities.contracts import EnvelopeRef
from archive.record import RecordFile, SealedManifest, seal_record
from archive.store import ObjectStore
from documents.bordereau import Bordereau, Etape, Fichier, PieceJointe, render_bordereau
from documents.errors import DocumentError
from documents.stamp import Stamp, stamp_pdf
from registry import flow, reference
from registry.door import OneBody, Register
from registry.models import Enveloppe, SealedRecord, StoredFile
from registry.wording import event_sentence
from schemas.states import Etat
from signing.seal import SealKey

STAMP_LIMIT = 160 * 2**20
"""Bytes; a PDF is stamped in memory, and nothing larger than a package can come."""

RETURN_LIMIT = 2**24
"""Bytes of a return's XML."""

FOLDERS = {
    "document": "pieces",
    "annexe": "pieces",
    "archive": "envoi",
    "retour": "retour",
    "retour_mail": "retour",
    "tamponne": "tamponne",
    "bordereau": "bordereau",
}
"""Where each role's files stand in the record."""

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class Sealing:
    """What an acknowledged or refused envelope leaves for good."""

    def __init__(
        self, register: Register, store: ObjectStore, seal_key: SealKey, retention: timedelta
    ) -> None:
        self._register = register
        self._store = store
        self._seal_key = seal_key
        self._retention = retention

    @activity.defn(name=contracts.CERTIFY)
    @kept_alive
    def certify(self, ref: EnvelopeRef) -> None:
        """Stamp the PDFs of an acknowledged act and make its bordereau; other transactions have neither."""
        scope = OneBody(ref.collectivite_id)
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            files = flow.files_of(session, ref.enveloppe_id)
            done = {file.role for file in files}
            if envelope.transaction != "1-1" or "bordereau" in done:
                return
            retour = next(file for file in files if file.role == "retour")
            xml = self._store.read(ref_of(retour), RETURN_LIMIT)
            answer = PieceJointe(retour.nom, xml, "Accusé de réception du ministère (ARActe)")
            pieces = flow.pieces_of(session, ref.enveloppe_id)
            slip = _bordereau(
                session, envelope, [*pieces, *(f for f in files if f.role == "archive")], answer
            )
        stamped, failures = self._stamp_all(ref, envelope, pieces)
        bordereau = self._keep(ref, "bordereau", 0, "bordereau.pdf", render_bordereau(slip))
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            if flow.files_of(session, ref.enveloppe_id, "bordereau"):
                return
            flow.add_files(session, envelope.id, envelope.collectivite_id, [*stamped, bordereau])
            if stamped:
                flow.note(session, envelope, "tamponne", flow.PLI, now(), file_id=stamped[0].id)
            for piece, reason in failures:
                flow.note(
                    session,
                    envelope,
                    "tampon_impossible",
                    flow.PLI,
                    now(),
                    {"piece": piece, "raison": reason},
                )
            flow.note(session, envelope, "bordereau", flow.PLI, now(), file_id=bordereau.id)

    def _stamp_all(
        self, ref: EnvelopeRef, envelope: Enveloppe, pieces: Sequence[StoredFile]
    ) -> tuple[list[flow.NewFile], list[tuple[str, str]]]:
        assert envelope.date_transmission is not None
        assert envelope.date_ar is not None
        assert envelope.id_acte is not None
        stamp = Stamp(
            envoye=envelope.date_transmission.astimezone(PARIS).date(),
            recu=envelope.date_ar,
            publie=None,
            id_acte=envelope.id_acte,
        )
        stamped: list[flow.NewFile] = []
        failures: list[tuple[str, str]] = []
        for piece in pieces:
            if piece.media_type != "application/pdf":
                continue
            try:
                pdf = stamp_pdf(self._store.read(ref_of(piece), STAMP_LIMIT), stamp)
            except DocumentError as error:
                failures.append((piece.nom, error.code))
                continue
            name = f"tamponne-{piece.nom_norme or piece.nom}"
            stamped.append(self._keep(ref, "tamponne", piece.position, name, pdf))
        return stamped, failures

    def _keep(self, ref: EnvelopeRef, role: str, position: int, name: str, pdf: bytes) -> flow.NewFile:
        stored = self._store.put_bytes(object_key(ref, f"{role}-{position}.pdf"), pdf)
        return flow.NewFile(
            id=fresh_id("fic"),
            role=role,
            position=position,
            nom=name,
            media_type="application/pdf",
            ref=file_ref(stored),
        )

    @activity.defn(name=contracts.SEAL)
    @kept_alive
    def seal(self, ref: EnvelopeRef) -> None:
        """Seal the record: every file read back and hashed, the timeline written down, the list signed."""
        sealed = self._seal(ref)
        if sealed is not None:
            # A cancelled act's record now tells of its cancellation.
            self._seal(sealed)

    def _seal(self, ref: EnvelopeRef) -> EnvelopeRef | None:
        """Seal one envelope; gives the act whose record must be sealed anew, if there is one."""
        scope = OneBody(ref.collectivite_id)
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            version = flow.next_seal_version(session, envelope.id)
            if envelope.etat == Etat.SCELLE or (envelope.etat == Etat.ANOMALIE and version > 1):
                return _act_of_cancellation(session, envelope)
            files = flow.files_of(session, ref.enveloppe_id)
            texts = record_texts(session, envelope, files)
            placed = [RecordFile(record_path(file), ref_of(file)) for file in files]
            cancellation = flow.cancellation_of(session, envelope.id)
            if cancellation is not None:
                placed += [
                    RecordFile(f"annulation/{record_path(file)}", ref_of(file))
                    for file in flow.files_of(session, cancellation.id, "archive", "retour", "retour_mail")
                ]
        sealed_at = now()
        sealed = seal_record(
            self._store,
            self._seal_key,
            # A prefix of each attempt's own: two that overlap must not write into each other's record.
            prefix=object_key(ref, f"scelle-{version}.{activity.info().attempt}"),
            files=placed,
            texts=texts,
            sealed_at=sealed_at,
        )
        locked = self._lock(sealed, sealed_at)
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            if flow.next_seal_version(session, envelope.id) != version:
                return _act_of_cancellation(session, envelope)
            session.add(
                SealedRecord(
                    id=fresh_id("enr"),
                    enveloppe_id=envelope.id,
                    collectivite_id=envelope.collectivite_id,
                    version=version,
                    sealed_at=sealed_at,
                    manifest_sha512=sealed.manifest.sha512,
                    manifest_bucket=sealed.manifest.bucket,
                    manifest_key=sealed.manifest.key,
                    manifest_size=sealed.manifest.size,
                    locked=locked,
                )
            )
            self._say_sealed(session, envelope, version, sealed_at)
            return _act_of_cancellation(session, envelope)

    def _lock(self, sealed: SealedManifest, sealed_at: datetime) -> bool:
        """Put every object of the record under retention, where the store has Object Lock."""
        if not self._store.object_lock():
            return False
        until = (sealed_at + self._retention).isoformat()
        for ref in (*(file.ref for file in sealed.files), sealed.manifest, sealed.signature):
            self._store.lock(ref, until)
        return True

    def _say_sealed(self, session: Session, envelope: Enveloppe, version: int, at: datetime) -> None:
        said = {"version": str(version)}
        if envelope.etat == Etat.ACQUITTE:
            flow.move(session, envelope, Etat.SCELLE, "scelle", flow.PLI, at, params=said)
        elif envelope.etat == Etat.ANOMALIE:
            flow.note(session, envelope, "anomalie_scellee", flow.PLI, at, said)
        else:
            flow.note(session, envelope, "scelle", flow.PLI, at, said)


def _act_of_cancellation(session: Session, envelope: Enveloppe) -> EnvelopeRef | None:
    """The act that a sealed 6-1 cancelled, where its record does not tell of it yet."""
    if envelope.transaction != "6-1" or envelope.acte_id is None or envelope.etat != Etat.SCELLE:
        return None
    act = flow.locked(session, envelope.acte_id)
    if act.etat != Etat.ANNULE or flow.next_seal_version(session, act.id) > 2:
        return None
    return EnvelopeRef(act.id, act.collectivite_id)


def record_path(file: StoredFile) -> str:
    """Where a file stands in the record."""
    name = UNSAFE.sub("_", file.nom_norme or file.nom)
    if file.role in ("retour", "retour_mail"):
        # The ministry chooses these names; two returns may bear the same.
        name = f"{file.position}-{name}"
    return f"{FOLDERS[file.role]}/{name}"


def record_texts(session: Session, envelope: Enveloppe, files: Sequence[StoredFile]) -> dict[str, bytes]:
    """The record's own words: the act's data and its timeline, for people and for software."""
    body = flow.body_of(session, envelope)
    timeline = flow.timeline_of(session, envelope.id)
    facts = {
        "envoi": envelope.id,
        "transaction": envelope.transaction,
        "collectivite": {"siren": body.siren, "nom": body.nom},
        "numero": envelope.numero,
        "nature": envelope.nature,
        "date_decision": _iso(envelope.date_decision),
        "objet": envelope.objet,
        "matiere": envelope.matiere,
        "classification_date": _iso(envelope.classification_date),
        "id_acte": envelope.id_acte,
        "date_transmission": _iso(envelope.date_transmission),
        "date_ar": _iso(envelope.date_ar),
        "refus": envelope.refus,
        "corrige": envelope.precedente_id,
        "pieces": [
            {"chemin": record_path(file), "nom": file.nom, "type": file.media_type, "code_pj": file.code_pj}
            for file in files
        ],
    }
    events = [
        {
            "instant": event.at.isoformat(),
            "code": event.code,
            "etat": event.etat,
            "acteur": event.actor,
            "texte": event_sentence(event.code, event.params),
            "details": event.params,
        }
        for event in timeline
    ]
    lines = [
        f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.actor} : {event_sentence(event.code, event.params)}"
        for event in timeline
    ]
    return {
        "dossier.json": _json(facts),
        "chronologie.json": _json(events),
        "chronologie.txt": ("\n".join(lines) + "\n").encode(),
    }


def _iso(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _bordereau(
    session: Session, envelope: Enveloppe, files: Sequence[StoredFile], answer: PieceJointe
) -> Bordereau:
    """What the acknowledgement slip shows (§7.5)."""
    assert envelope.date_decision is not None
    assert envelope.date_transmission is not None
    assert envelope.date_ar is not None
    body = flow.body_of(session, envelope)
    norm = reference.classification(session, envelope.collectivite_id)
    return Bordereau(
        collectivite=body.nom,
        siren=body.siren,
        departement=body.departement,
        deposant=envelope.deposited_by,
        enveloppe_id=envelope.id,
        transaction=envelope.transaction,
        numero=envelope.numero or "",
        objet=envelope.objet,
        nature=norm.nature(int(envelope.nature or 0)).libelle,
        date_decision=envelope.date_decision,
        matiere_code=envelope.matiere or "",
        matiere=norm.label(tuple(int(part) for part in (envelope.matiere or "0").split("."))) or "",
        document_papier=envelope.document_papier,
        id_acte=envelope.id_acte or "",
        envoye=envelope.date_transmission,
        recu=envelope.date_ar,
        etabli=now(),
        fichiers=tuple(_fichier(file) for file in files),
        etapes=tuple(
            Etape(event_sentence(event.code, event.params), event.actor, event.at)
            for event in flow.timeline_of(session, envelope.id)
        ),
        jointes=(answer,),
    )


def _fichier(file: StoredFile) -> Fichier:
    labels = {"document": "Acte", "archive": "Enveloppe transmise"}
    return Fichier(
        libelle=labels.get(file.role, f"Annexe {file.position - 1}"),
        nom=file.nom,
        media_type=file.media_type,
        size=file.size,
        sha512=file.sha512,
        nom_norme=file.nom_norme or "",
    )
