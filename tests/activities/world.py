"""The activities on a real register and a real store, with a wire that does as it is told."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any, TypeVar

from sqlalchemy import update
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.checking import Checking
from activities.common import ActesSettings
from activities.contracts import EnvelopeRef
from activities.packaging import Packaging
from activities.returns import Returns
from activities.sealing import Sealing
from activities.transmission import Transmission
from archive.s3 import S3Store
from gateways.antivirus import Scan, Scanner, Verdict
from gateways.mailbox import Mailbox
from gateways.ministry import MinistryWire
from registry import flow, reference
from registry.door import OneBody, Platform, Register
from registry.models import Enveloppe, StoredFile
from schemas.actes import answers
from schemas.actes.classification import national
from signing.seal import SealKey, make_sandbox_seal
from tests.registry.rows import LATER, NOW, new_acte, two_bodies
from tests.samples.actes import pdf

R = TypeVar("R")
SETTINGS = ActesSettings("PLI", "TACT", "retours@pli.test")


class Wire(MinistryWire):
    """Takes what is sent, or fails as it was told."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.received: list[tuple[str, bytes]] = []

    def send(self, archive_name: str, size: int, chunks: Iterable[bytes]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        data = b"".join(chunks)
        assert len(data) == size
        self.received.append((archive_name, data))


@dataclass
class FixedScanner(Scanner):
    verdict: Verdict = Verdict.CLEAN

    def scan(self, chunks: Iterable[bytes]) -> Scan:
        for _ in chunks:
            pass
        return Scan(self.verdict, "Eicar-Test" if self.verdict is Verdict.INFECTED else None)


@dataclass
class World:
    register: Register
    store: S3Store
    seal_key: SealKey
    wire: Wire = field(default_factory=Wire)
    scanner: FixedScanner = field(default_factory=FixedScanner)

    def __post_init__(self) -> None:
        self.body, self.other = two_bodies(self.register)
        self.checking = Checking(self.register, self.store, self.scanner)
        self.packaging = Packaging(self.register, self.store, SETTINGS)
        self.transmission = Transmission(self.register, self.store, self.wire, SETTINGS)
        self.sealing = Sealing(self.register, self.store, self.seal_key, timedelta(days=365))

    def returns(self, client: Client, mailbox: Mailbox) -> Returns:
        return Returns(self.register, self.store, mailbox, client, SETTINGS)

    def run(self, step: Callable[..., R], *args: Any) -> R:
        return ActivityEnvironment().run(step, *args)

    def deposit(
        self, document: bytes | None = None, annexe: bytes | None = None, **changes: object
    ) -> EnvelopeRef:
        """An act with a stored document (and an annex), as a door leaves it."""
        data = document or pdf()
        plain = new_acte(self.body, **changes)  # type: ignore[arg-type]
        if not plain.files:
            with self.register.session(OneBody(self.body)) as session:
                flow.accept(session, plain, now=NOW, echeance=LATER)
            return EnvelopeRef(plain.id, self.body)
        ref = self.store.put_bytes(f"{self.body}/{plain.id}/document", data)
        (file,) = plain.files
        stored = flow.NewFile(
            file.id, file.role, file.position, file.nom, file.media_type,
            flow.FileRef(ref.bucket, ref.key, ref.sha256, ref.sha512, ref.size), code_pj=file.code_pj,
        )  # fmt: skip
        new = flow.NewEnveloppe(
            **{name: getattr(plain, name) for name in plain.__slots__ if name != "files"},
            files=(stored, *self._annexes(plain.id, annexe)),
        )
        with self.register.session(OneBody(self.body)) as session:
            flow.accept(session, new, now=NOW, echeance=LATER)
        return EnvelopeRef(new.id, self.body)

    def _annexes(self, enveloppe_id: str, data: bytes | None) -> list[flow.NewFile]:
        if data is None:
            return []
        ref = self.store.put_bytes(f"{self.body}/{enveloppe_id}/annexe", data)
        return [
            flow.NewFile(
                f"{enveloppe_id}_annexe", "annexe", 2, "annexe.pdf", "application/pdf",
                flow.FileRef(ref.bucket, ref.key, ref.sha256, ref.sha512, ref.size), code_pj="99_DE",
            )
        ]  # fmt: skip

    def packaged(self, **changes: object) -> EnvelopeRef:
        ref = self.deposit(**changes)
        assert self.run(self.checking.check, ref).accepted
        assert self.run(self.packaging.package, ref).accepted
        return ref

    def sent(self, **changes: object) -> EnvelopeRef:
        ref = self.packaged(**changes)
        self.run(self.transmission.transmit, ref)
        return ref

    def row(self, ref: EnvelopeRef) -> Enveloppe:
        with self.register.session(Platform("test")) as session:
            return flow.locked(session, ref.enveloppe_id)

    def codes(self, ref: EnvelopeRef) -> list[str]:
        with self.register.session(Platform("test")) as session:
            return [event.code for event in flow.timeline_of(session, ref.enveloppe_id)]

    def files(self, ref: EnvelopeRef, *roles: str) -> list[StoredFile]:
        with self.register.session(Platform("test")) as session:
            return flow.files_of(session, ref.enveloppe_id, *roles)

    def message_sent(self, ref: EnvelopeRef) -> bytes:
        """The message XML inside the archive that left."""
        name = self.row(ref).archive_nom
        data = next(data for sent, data in self.wire.received if sent == name)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            member = next(m for m in archive.getmembers() if m.name.endswith("_0.xml"))
            part = archive.extractfile(member)
            assert part is not None
            return part.read()

    def ar(self, ref: EnvelopeRef, name: str = "ar-1-2.xml", lie: tuple[bytes, bytes] = (b"", b"")) -> bytes:
        """The ministry's acknowledgement of an act, as a mail; `lie` is replaced in it."""
        id_acte = self.row(ref).id_acte
        assert id_acte is not None
        xml = answers.build_ar_acte(
            self.message_sent(ref), id_acte=id_acte, date_reception=datetime.now(UTC).date(),
            classification=national().date_version,
        )  # fmt: skip
        return self.mail(name, xml, lie)

    def anomaly(self, ref: EnvelopeRef) -> bytes:
        xml = answers.build_anomalie_acte(
            self.message_sent(ref), jour=datetime.now(UTC).date(), nature="002",
            detail="ODT-VERIF-01 : classification perimee", classification=national().date_version,
        )  # fmt: skip
        return self.mail("anomalie.xml", xml)

    def mail(self, name: str, xml: bytes, lie: tuple[bytes, bytes] = (b"", b"")) -> bytes:
        """A return mail: envelope and message as attachments."""
        message = EmailMessage()
        message["Subject"] = f"Retour {hashlib.sha256(xml).hexdigest()[:8]}"
        message["From"] = "actes@interieur.test"
        message.set_content("Retour du ministère")
        envelope = answers.build_enveloppe_retour(
            siren="219900016", departement="999", arrondissement="1", formulaires=[name]
        )
        for part_name, part in (("TACT--SPREF9991-219900016-20261123-1.xml", envelope), (name, xml)):
            told = part.replace(*lie) if lie[0] else part
            message.add_attachment(told, maintype="application", subtype="xml", filename=part_name)
        return message.as_bytes()

    def load_classification(self, xml: bytes) -> None:
        with self.register.session(OneBody(self.body)) as session:
            reference.load_classification(session, self.body, xml, NOW)

    def set(self, ref: EnvelopeRef, **values: object) -> None:
        with self.register.session(Platform("test")) as session:
            session.execute(update(Enveloppe).where(Enveloppe.id == ref.enveloppe_id).values(**values))


def seal_for_tests() -> SealKey:
    """A seal of the tests' own."""
    return SealKey.load(*make_sandbox_seal("Essai", NOW))
