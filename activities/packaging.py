"""Giving an envelope its rank, its XML files and its archive."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session
from temporalio import activity

from activities import contracts
from activities.alive import kept_alive
from activities.common import (
    PARIS,
    ActesSettings,
    acte_of,
    emetteur_of,
    file_ref,
    fresh_id,
    now,
    object_key,
    ref_of,
)
from activities.contracts import Checked, EnvelopeRef
from archive.store import ObjectStore, Ref
from registry import flow
from registry.door import OneBody, Register
from registry.models import Enveloppe, StoredFile
from schemas.actes.package import (
    Package,
    check_archive_size,
    check_package,
    package_acte,
    package_annulation,
    package_demande_classification,
)
from schemas.findings import Finding
from schemas.states import Etat
from schemas.tar import write_archive

TRIAL_RANK = 9999
"""Longest rank: what passes with it passes with any."""


class Packaging:
    """The envelope as the ministry wants it."""

    def __init__(self, register: Register, store: ObjectStore, settings: ActesSettings) -> None:
        self._register = register
        self._store = store
        self._settings = settings

    @activity.defn(name=contracts.PACKAGE)
    @kept_alive
    def package(self, ref: EnvelopeRef) -> Checked:
        """Give the envelope its rank, build both XML files and the archive, and store it."""
        scope = OneBody(ref.collectivite_id)
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            if envelope.etat != Etat.DEPOSE:
                return Checked(accepted=envelope.etat != Etat.REFUSE)
            files = flow.pieces_of(session, ref.enveloppe_id)
            jour = envelope.jour or now().astimezone(PARIS).date()
            # Everything that can refuse is tried before a rank is taken, so that no rank is lost.
            trial = self._build(session, envelope, files, jour, rang=9999)
            findings = check_package(trial, len(files))
            if not findings:
                findings = self._check_size(trial, files)
            if findings:
                flow.refuse(session, envelope, findings, now())
                return Checked(accepted=False)
            rang = flow.allot_rank(session, envelope, jour)
            package = self._build(session, envelope, files, envelope.jour or jour, rang)
            envelope.archive_nom = package.archive_name
        stored = self._store_archive(ref, package, files)
        with self._register.session(scope) as session:
            envelope = flow.locked(session, ref.enveloppe_id)
            if envelope.etat != Etat.DEPOSE:
                return Checked(accepted=True)
            archive = flow.NewFile(
                id=fresh_id("fic"),
                role="archive",
                position=0,
                nom=package.archive_name,
                media_type="application/gzip",
                ref=file_ref(stored),
                nom_norme=package.archive_name,
            )
            flow.add_files(session, envelope.id, envelope.collectivite_id, [archive])
            for file, name in zip(
                flow.pieces_of(session, ref.enveloppe_id), package.piece_names, strict=True
            ):
                file.nom_norme = name
            flow.move(
                session,
                envelope,
                Etat.PRET,
                "mis_sous_enveloppe",
                flow.PLI,
                now(),
                echeance=now() + self._settings.look_again,
                params={"archive": package.archive_name, "taille": str(stored.size)},
            )
        return Checked(accepted=True)

    def _build(
        self, session: Session, envelope: Enveloppe, files: list[StoredFile], jour: date, rang: int
    ) -> Package:
        body = flow.body_of(session, envelope)
        emetteur = emetteur_of(body)
        # The platform's mailbox first: it is the one that Pli collects.
        adresses = list(dict.fromkeys([self._settings.return_address, body.email]))
        trigramme, quadrigramme = self._settings.trigramme, self._settings.quadrigramme
        if envelope.transaction == "1-1":
            return package_acte(
                acte_of(envelope, files),
                emetteur,
                jour=jour,
                rang=rang,
                adresses_retour=adresses,
                trigramme=trigramme,
                quadrigramme=quadrigramme,
            )
        if envelope.transaction == "6-1":
            assert envelope.id_acte is not None
            assert envelope.date_decision is not None
            return package_annulation(
                envelope.id_acte,
                envelope.numero or "",
                int(envelope.nature or 0),
                envelope.date_decision,
                emetteur,
                jour=jour,
                rang=rang,
                adresses_retour=adresses,
                trigramme=trigramme,
                quadrigramme=quadrigramme,
            )
        return package_demande_classification(
            emetteur,
            envelope.classification_date,
            jour=jour,
            rang=rang,
            adresses_retour=adresses,
            trigramme=trigramme,
            quadrigramme=quadrigramme,
        )

    def _check_size(self, package: Package, files: list[StoredFile]) -> list[Finding]:
        raw = len(package.envelope_xml) + len(package.message_xml) + sum(file.size for file in files)
        # Deflate adds at most 5 bytes a 16 KiB block, tar a header and padding a member.
        at_most = raw + raw // 1000 + 4096 * (len(files) + 4)
        if not check_archive_size(at_most, place="/document"):
            return []
        with tempfile.TemporaryFile() as out:
            self._write_archive(out, package, files)
            return check_archive_size(out.tell(), place="/document")

    def _write_archive(self, out: BinaryIO, package: Package, files: list[StoredFile]) -> None:
        with ExitStack() as stack:
            members: list[tuple[str, int, BinaryIO]] = []
            for name, data in (
                (package.envelope_name, package.envelope_xml),
                (package.message_name, package.message_xml),
            ):
                members.append((name, len(data), BytesIO(data)))
            for name, file in zip(package.piece_names, files, strict=True):
                spool = stack.enter_context(tempfile.TemporaryFile())
                self._store.fetch(ref_of(file), spool)
                spool.seek(0)
                members.append((name, file.size, spool))
            write_archive(out, members)

    def _store_archive(self, ref: EnvelopeRef, package: Package, files: list[StoredFile]) -> Ref:
        with tempfile.NamedTemporaryFile() as out:
            self._write_archive(out, package, files)  # type: ignore[arg-type]
            out.flush()
            return self._store.put_file(object_key(ref, package.archive_name), Path(out.name))
