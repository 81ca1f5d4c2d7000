"""A town hall's week in the register: one envelope in every state, by the real functions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.orm import Session

from api.services import Services
from archive.record import RecordFile, seal_record
from archive.store import Ref
from registry import accounts, facts, flow
from registry.door import OneBody, Platform
from registry.models import Enveloppe, ReturnMail, SealedRecord
from schemas.findings import Finding
from schemas.identifiers import new_id
from schemas.states import Etat
from signing.seal import SealKey, make_sandbox_seal
from tests.samples.pdf import plain_pdf

PASSWORD = "un long mot de passe"
CLERK, ADMIN, ARCHIVIST = "claire.legoff@exemple.fr", "admin@exemple.fr", "archives@exemple.fr"
AT_BOTH = "secretariat@exemple.fr"
CLERK_NAME = "Claire Le Goff"


@dataclass
class Story:
    """Who and what the register holds."""

    services: Services
    body: str = ""
    other_body: str = ""
    clerk: str = ""
    envelopes: dict[str, str] = field(default_factory=dict)
    """Identifiers by the state they show."""
    foreign: str = ""
    """An envelope of the other body."""


@dataclass(frozen=True)
class Act:
    """What an act says."""

    numero: str
    objet: str
    nature: str
    matiere: str
    days_ago: int


ACTS = {
    "scelle": Act("2026_038", "Tarifs de la restauration scolaire pour l’année 2026-2027", "1", "7.10", 4),
    "acquitte": Act("2026_042", "Convention avec le syndicat départemental d’énergie", "4", "1.4", 1),
    "transmis": Act("2026_043", "Subvention à l’association sportive de Saint-Aubin", "1", "7.5", 1),
    "incertain": Act("2026_040", "Acquisition de la parcelle AB 112, rue du Moulin", "1", "3.1", 2),
    "a_decider": Act("2026_035", "Désignation des délégués au syndicat des eaux", "1", "5.3", 7),
    "pret": Act("2026_044", "Décision modificative n° 3 du budget principal", "1", "7.1", 0),
    "depose": Act("2026_045", "Arrêté de circulation, travaux de la place du Marché", "2", "6.1", 0),
    "refuse": Act("2026_041", "Création d’un emploi permanent d’adjoint technique", "1", "4.1", 1),
    "anomalie": Act("2026_039", "Règlement intérieur de la bibliothèque", "1", "8.9", 3),
    "retire": Act("2026_037", "Motion sur le maintien de la trésorerie", "1", "9.4", 5),
    "annule": Act("2026_030", "Délégation de signature à la directrice générale", "3", "5.5", 9),
    "abandonne": Act("2026_028", "Bail de la maison médicale", "4", "3.3", 12),
}


def tell(services: Services) -> Story:
    """Fill the register and the store; gives what is in them."""
    story = Story(services)
    now = datetime.now(UTC).replace(microsecond=0)
    with services.register.session(Platform("test")) as session:
        _people(session, story, now)
    for name, act in ACTS.items():
        story.envelopes[name] = _envelope(story, name, act, now)
    story.foreign = _accept(story, story.other_body, ACTS["scelle"], now, "étranger")
    _cancellation(story, now)
    _quarantine(story, now)
    facts.say(services.register, object_lock=False, antivirus=False)
    return story


def _people(session: Session, story: Story, now: datetime) -> None:
    def body(siren: str, nom: str) -> str:
        return accounts.add_collectivite(
            session,
            now,
            siren=siren,
            nom=nom,
            departement="035",
            arrondissement="1",
            nature="31",
            email="mairie@exemple.fr",
        )

    def person(email: str, nom: str, role: str, *bodies: str | None) -> str:
        user = accounts.add_user(session, now, email=email, nom=nom, password=PASSWORD)
        for one in bodies:
            accounts.grant(session, user, role, one)
        return user

    story.body = body("213502388", "Commune de Saint-Aubin-les-Bois")
    story.other_body = body("214400152", "Commune de Montreuil-sur-Vaige")
    story.clerk = person(CLERK, CLERK_NAME, "administrateur_collectivite", story.body)
    person(AT_BOTH, "Yann Kervella", "agent", story.body, story.other_body)
    person(ARCHIVIST, "Maud Tanguy", "archiviste", story.body)
    person(ADMIN, "Farid Benali", "administrateur", None)
    accounts.create_token(
        session,
        now,
        collectivite_id=story.body,
        label="Gestion des délibérations",
        rights=("actes:deposer", "actes:lire"),
        responsible_user_id=story.clerk,
    )


def _id(prefix: str, at: datetime) -> str:
    return new_id(prefix, at, secrets.token_bytes(10))


def _accept(story: Story, body: str, act: Act, at: datetime, key: str) -> str:
    enveloppe_id = _id("acte", at)
    files = []
    for position, (role, nom, code) in enumerate(
        (("document", f"{act.numero}.pdf", "99_DE"), ("annexe", "plan de financement.pdf", "99_DE")), start=1
    ):
        ref = story.services.store.put_bytes(
            f"{body}/{enveloppe_id}/{position}", plain_pdf(f"Acte {act.numero}")
        )
        files.append(
            flow.NewFile(_id("fic", at), role, position, nom, "application/pdf", _file_ref(ref), code_pj=code)
        )
    new = flow.NewEnveloppe(
        id=enveloppe_id,
        transaction="1-1",
        collectivite_id=body,
        objet=act.objet,
        deposited_by=CLERK_NAME,
        responsible_user_id=story.clerk,
        caller=f"user:{story.clerk}",
        idempotency_key=f"{key}-{enveloppe_id}",
        fingerprint="f",
        numero=act.numero,
        nature=act.nature,
        date_decision=(at - timedelta(days=2)).date(),
        matiere=act.matiere,
        classification_date=date(2019, 4, 18),
        id_acte=f"035-213502388-{(at - timedelta(days=2)):%Y%m%d}-{act.numero}-DE",
        files=tuple(files),
    )
    with story.services.register.session(OneBody(body)) as session:
        flow.accept(session, new, now=at, echeance=at + timedelta(minutes=15))
    return enveloppe_id


def _file_ref(ref: Ref) -> flow.FileRef:
    return flow.FileRef(ref.bucket, ref.key, ref.sha256, ref.sha512, ref.size)


_WAY: dict[str, tuple[str, ...]] = {
    "depose": (),
    "pret": ("pret",),
    "transmis": ("pret", "transmis"),
    "incertain": ("pret", "incertain"),
    "a_decider": ("pret", "transmis", "a_decider"),
    "acquitte": ("pret", "transmis", "acquitte"),
    "scelle": ("pret", "transmis", "acquitte", "scelle"),
    "refuse": ("refuse",),
    "anomalie": ("pret", "transmis", "anomalie"),
    "retire": ("retire",),
    "annule": ("pret", "transmis", "acquitte", "scelle", "annule"),
    "abandonne": ("pret", "incertain", "a_decider", "abandonne"),
}


def _envelope(story: Story, name: str, act: Act, now: datetime) -> str:
    at = now - timedelta(days=act.days_ago, hours=2, minutes=len(name))
    enveloppe_id = _accept(story, story.body, act, at, name)
    for step, etat in enumerate(_WAY[name], start=1):
        advance(story, enveloppe_id, Etat(etat), at + timedelta(minutes=1 if step < 3 else 60 * step))
    return enveloppe_id


def advance(story: Story, enveloppe_id: str, etat: Etat, at: datetime) -> None:
    """The next step of an envelope, as its workflow would record it."""
    with story.services.register.session(OneBody(story.body)) as session:
        row = flow.locked(session, enveloppe_id)
        _STEPS[etat](story, session, row, at)


def _pret(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    flow.note(session, row, "controle_sans_antivirus", "Pli", at)
    row.archive_nom = f"SLO-EACT--213502388--{at:%Y%m%d}-{flow.allot_rank(session, row, at.date())}.tar.gz"
    flow.move(
        session, row, Etat.PRET, "mis_sous_enveloppe", "Pli", at, echeance=at + timedelta(hours=1),
        params={"archive": row.archive_nom, "taille": "18412"},
    )  # fmt: skip


def _transmis(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    row.date_transmission = at
    flow.move(session, row, Etat.TRANSMIS, "transmis", "Pli", at, echeance=at + timedelta(days=5))


def _incertain(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    row.date_transmission = at
    flow.move(
        session, row, Etat.INCERTAIN, "incertain", "Pli", at, echeance=at + timedelta(days=5),
        params={"raison": "sans_reponse"},
    )  # fmt: skip


def _a_decider(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    flow.move(
        session, row, Etat.A_DECIDER, "silence", "Pli", at + timedelta(days=5),
        echeance=at + timedelta(days=9), params={"responsable": CLERK_NAME},
    )  # fmt: skip


def _acquitte(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    row.date_ar = at.date()
    ref = story.services.store.put_bytes(f"{story.body}/{row.id}/retour", b"<actes:ARActe/>")
    proof = flow.NewFile(_id("fic", at), "retour", 0, "ARActe.xml", "application/xml", _file_ref(ref))
    flow.add_files(session, row.id, row.collectivite_id, [proof])
    flow.move(
        session, row, Etat.ACQUITTE, "acquitte", "Ministère", at, echeance=at + timedelta(hours=1),
        params={"transaction": "1-2", "date": at.date().isoformat()}, file_id=proof.id,
    )  # fmt: skip


def _scelle(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    store = story.services.store
    added = []
    for role, nom in (("tamponne", f"{row.numero}-tamponne.pdf"), ("bordereau", "bordereau.pdf")):
        ref = store.put_bytes(f"{story.body}/{row.id}/{role}", plain_pdf(role))
        added.append(flow.NewFile(_id("fic", at), role, 0, nom, "application/pdf", _file_ref(ref)))
    flow.add_files(session, row.id, row.collectivite_id, added)
    flow.note(session, row, "tamponne", "Pli", at, file_id=added[0].id)
    flow.note(session, row, "bordereau", "Pli", at, file_id=added[1].id)
    key = SealKey.load(*make_sandbox_seal("Pli, essais", at))
    record = seal_record(
        store,
        key,
        prefix=f"dossiers/{row.id}",
        files=[RecordFile("pieces/bordereau.pdf", ref)],
        texts={"chronologie.txt": b"scelle\n", "chronologie.json": b"[]\n", "dossier.json": b"{}\n"},
        sealed_at=at,
    )
    manifest = record.manifest
    session.add(
        SealedRecord(
            id=_id("enr", at),
            enveloppe_id=row.id,
            collectivite_id=row.collectivite_id,
            version=1,
            sealed_at=at,
            manifest_sha512=manifest.sha512,
            manifest_bucket=manifest.bucket,
            manifest_key=manifest.key,
            manifest_size=manifest.size,
            locked=False,
        )
    )
    flow.move(session, row, Etat.SCELLE, "scelle", "Pli", at, params={"version": "1"})


def _refuse(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    findings = [
        Finding(
            "type_pj_interdit",
            "/annexes/0",
            {"code_pj": "22_AT", "nature": "Délibérations", "permis": "99_DE, 99_SE, 21_DA"},
        ),
        Finding("matiere_inconnue", "/matiere", {"matiere": "4.9"}),
    ]
    flow.refuse(session, row, findings, at)


def _anomalie(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    words = {"transaction": "1-3", "nature": "002", "detail": "ODT-VERIF-01 : date de classification périmée"}
    row.refus = [{"code": "anomalie_ministere", "place": "1-3", "params": words}]
    flow.move(
        session, row, Etat.ANOMALIE, "anomalie", "Ministère", at,
        params={"transaction": "1-3", "nature": "002", "detail": "ODT-VERIF-01"},
    )  # fmt: skip


def _retire(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    flow.move(session, row, Etat.RETIRE, "retire", CLERK_NAME, at)


def _annule(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    flow.move(session, row, Etat.ANNULE, "annule", "Ministère", at, params={"date": at.date().isoformat()})


def _abandonne(story: Story, session: Session, row: Enveloppe, at: datetime) -> None:
    flow.move(
        session, row, Etat.ABANDONNE, "decision_abandonner", CLERK_NAME, at + timedelta(days=6),
        params={"motif": "La préfecture confirme n’avoir rien reçu."},
    )  # fmt: skip


_STEPS = {
    Etat.PRET: _pret,
    Etat.TRANSMIS: _transmis,
    Etat.INCERTAIN: _incertain,
    Etat.A_DECIDER: _a_decider,
    Etat.ACQUITTE: _acquitte,
    Etat.SCELLE: _scelle,
    Etat.REFUSE: _refuse,
    Etat.ANOMALIE: _anomalie,
    Etat.RETIRE: _retire,
    Etat.ANNULE: _annule,
    Etat.ABANDONNE: _abandonne,
}


def _cancellation(story: Story, now: datetime) -> None:
    act = ACTS["annule"]
    new = flow.NewEnveloppe(
        id=_id("ann", now - timedelta(days=8)),
        transaction="6-1",
        collectivite_id=story.body,
        objet=f"Annulation : {act.objet}",
        deposited_by=CLERK_NAME,
        responsible_user_id=story.clerk,
        caller=f"user:{story.clerk}",
        idempotency_key="annulation",
        fingerprint="f",
        numero=act.numero,
        acte_id=story.envelopes["annule"],
    )
    with story.services.register.session(OneBody(story.body)) as session:
        flow.accept(session, new, now=now - timedelta(days=8), echeance=now)
    story.envelopes["annulation"] = new.id


def _quarantine(story: Story, now: datetime) -> None:
    raw = b"Subject: ACTES\r\n\r\nBonjour.\r\n"
    ref = story.services.store.put_bytes("retours/quarantaine", raw)
    with story.services.register.session(Platform("test")) as session:
        session.add(
            ReturnMail(
                id=_id("ret", now),
                message_sha512=ref.sha512,
                received_at=now - timedelta(hours=5),
                subject="[ACTES] Accusé de réception 044-214400152-20261106-TEST-DE",
                bucket=ref.bucket,
                object_key=ref.key,
                size=ref.size,
                sha256=ref.sha256,
                state="quarantined",
                reason="quarantaine_sans_envoi",
            )
        )
