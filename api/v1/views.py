"""What v1 shows: JSON models, in the words of the norm."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.problems import describe_findings
from registry.envelopes import Event, File, Line, RecordLine, Whole
from registry.wording import event_sentence
from schemas.actes.classification import Classification
from schemas.catalogue import Catalogue, Lang, load
from schemas.findings import Finding
from schemas.states import Etat

_ID = "acte_019ab0f2-7c11-7d2e-9a3b-5f1c2d3e4a5b"


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class EnvoiResume(_View):
    """Une ligne d’une liste."""

    id: str = Field(examples=[_ID])
    transaction: str = Field(examples=["1-1"], description="1-1 acte, 6-1 annulation, 7-1 classification.")
    famille: str = Field(examples=["en_cours"])
    etat: str = Field(examples=["depose"])
    libelle_etat: str = Field(examples=["Déposé, en cours de contrôle"])
    a_qui: str = Field(
        examples=["pli"], description="À qui de jouer : pli, ministere, responsable, personne."
    )
    prochaine_etape: str = Field(examples=["Pli contrôle les fichiers puis les transmet au ministère."])
    echeance: datetime | None = Field(
        description="Prochaine date à laquelle quelque chose se passe tout seul."
    )
    numero: str | None = Field(examples=["2026_041"])
    nature: int | None = Field(examples=[1])
    matiere: str | None = Field(examples=["7.10"])
    objet: str = Field(examples=["Vote du budget primitif"])
    date_decision: date | None
    depose_par: str = Field(examples=["Logiciel de gestion"])
    depose_le: datetime
    transmis_le: datetime | None
    date_ar: date | None
    id_acte: str | None = Field(examples=["035-213502388-20261120-2026_041-DE"])


class PieceVue(_View):
    """Un fichier d’un envoi."""

    id: str
    role: str = Field(examples=["document"])
    position: int
    nom: str
    nom_norme: str | None
    type_piece: str | None = Field(examples=["99_DE"])
    type_contenu: str = Field(examples=["application/pdf"])
    taille: int = Field(description="Octets.")
    sha256: str
    sha512: str
    contenu: str = Field(description="Adresse du contenu.")


class EvenementVu(_View):
    """Une étape de la chronologie."""

    date: datetime
    code: str = Field(examples=["depose"])
    texte: str = Field(examples=["Déposé"])
    etat: str
    acteur: str
    preuve: str | None = Field(description="Identifiant du fichier qui prouve l’étape.")


class Envoi(EnvoiResume):
    """Un envoi, ses fichiers et sa chronologie."""

    document_papier: bool
    date_classification: date | None
    archive: str | None = Field(description="Nom de l’archive transmise.")
    responsable: str
    precedente: str | None = Field(description="Envoi refusé que celui-ci corrige.")
    corrigee_par: str | None
    acte: str | None = Field(description="Acte que cette annulation désigne.")
    annulations: list[str]
    refus: list[dict[str, Any]]
    pieces: list[PieceVue]
    evenements: list[EvenementVu]
    preuve: str | None = Field(description="Adresse du dossier de preuve, une fois scellé.")


class ListeEnvois(_View):
    """Une page d’une liste, du plus récent au plus ancien."""

    elements: list[EnvoiResume]
    suivant: str | None = Field(description="Curseur de la page suivante, à passer dans « apres ».")
    total: int | None = Field(description="Seulement sur demande : total=oui.")


class ListeEvenements(_View):
    """La chronologie d’un envoi."""

    elements: list[EvenementVu]


class ArchiveVue(_View):
    """Un dossier scellé."""

    id: str
    enveloppe: str
    version: int
    scelle_le: datetime
    verrouille: bool = Field(description="Vrai si le coffre retient physiquement les fichiers (Object Lock).")
    sha512_manifeste: str
    numero: str | None
    objet: str
    nature: int | None
    date_decision: date | None
    date_ar: date | None
    id_acte: str | None
    producteur: str
    preuve: str


class ListeArchives(_View):
    """Une page de dossiers scellés."""

    elements: list[ArchiveVue]
    suivant: str | None


class TypePieceVu(_View):
    """Un type de pièce admis pour une nature."""

    code: str = Field(examples=["99_DE"])
    libelle: str


class NatureVue(_View):
    """Une nature d’actes."""

    code: int
    abrege: str
    libelle: str
    type_piece_par_defaut: str | None
    types_piece: list[TypePieceVu]


class MatiereVue(_View):
    """Une matière de la nomenclature."""

    code: str = Field(examples=["7.10"])
    libelle: str


class ClassificationVue(_View):
    """La classification en vigueur pour la collectivité."""

    date_version: date
    natures: list[NatureVue]
    matieres: list[MatiereVue]


class Introspection(_View):
    """Ce que l’appelant peut faire."""

    appelant: str
    nom: str
    collectivite: str | None
    siren: str | None
    droits: list[str]


def etats() -> Catalogue:
    """Words for the states and their next step."""
    return load("api", "etats.toml")


def resume(line: Line, lang: Lang) -> EnvoiResume:
    """One row of a list."""
    return EnvoiResume(**_resume(line, lang))


def next_step(line: Line, corrected: bool) -> str:
    """Key of `etats.toml` whose remedy says what comes next."""
    if corrected:
        return "corrige"
    own = f"{line.etat}_{line.transaction.replace('-', '_')}"
    return own if own in set(etats()) else line.etat.value


def _resume(line: Line, lang: Lang, *, corrected: bool | None = None) -> dict[str, Any]:
    if corrected is None:
        # A refused envelope waits for a person until it is corrected; then it is nobody's turn.
        corrected = line.etat in {Etat.REFUSE, Etat.ANOMALIE} and line.awaits == "personne"
    words = etats()
    return {
        "id": line.id,
        "transaction": line.transaction,
        "famille": line.famille.value,
        "etat": line.etat.value,
        "libelle_etat": words.text(line.etat.value, lang),
        "a_qui": line.awaits,
        "prochaine_etape": words.remedy(next_step(line, corrected), lang),
        "echeance": line.echeance,
        "numero": line.numero,
        "nature": line.nature,
        "matiere": line.matiere,
        "objet": line.objet,
        "date_decision": line.date_decision,
        "depose_par": line.deposited_by,
        "depose_le": line.created_at,
        "transmis_le": line.date_transmission,
        "date_ar": line.date_ar,
        "id_acte": line.id_acte,
    }


def envoi(whole: Whole, lang: Lang) -> Envoi:
    """One envelope with everything."""
    here = f"/v1/actes/{whole.line.id}"
    return Envoi(
        **_resume(whole.line, lang, corrected=whole.corrigee_par is not None),
        document_papier=whole.document_papier,
        date_classification=whole.classification_date,
        archive=whole.archive_nom,
        responsable=whole.responsable,
        precedente=whole.precedente_id,
        corrigee_par=whole.corrigee_par,
        acte=whole.acte_id,
        annulations=list(whole.annulations),
        refus=[_refus(item, lang) for item in whole.refus],
        pieces=[_piece(file, here) for file in whole.files],
        evenements=[evenement(event, lang) for event in whole.timeline],
        preuve=None if whole.version_scellee is None else f"{here}/preuve",
    )


def _refus(item: Mapping[str, Any], lang: Lang) -> dict[str, Any]:
    if "code" not in item:
        return dict(item)
    return dict(describe_findings([Finding(item["code"], item["place"], dict(item["params"]))], lang)[0])


def _piece(file: File, envelope: str) -> PieceVue:
    return PieceVue(
        id=file.id,
        role=file.role,
        position=file.position,
        nom=file.nom,
        nom_norme=file.nom_norme,
        type_piece=file.code_pj,
        type_contenu=file.media_type,
        taille=file.size,
        sha256=file.sha256,
        sha512=file.sha512,
        contenu=f"{envelope}/pieces/{file.id}/contenu",
    )


def evenement(event: Event, lang: Lang) -> EvenementVu:
    """One step of the timeline, in words."""
    return EvenementVu(
        date=event.at,
        code=event.code,
        texte=event_sentence(event.code, event.params, lang),
        etat=event.etat.value,
        acteur=event.actor,
        preuve=event.file_id,
    )


def archive(found: RecordLine) -> ArchiveVue:
    """One sealed record."""
    record, line = found.record, found.line
    return ArchiveVue(
        id=record.id,
        enveloppe=line.id,
        version=record.version,
        scelle_le=record.sealed_at,
        verrouille=record.locked,
        sha512_manifeste=record.manifest_sha512,
        numero=line.numero,
        objet=line.objet,
        nature=line.nature,
        date_decision=line.date_decision,
        date_ar=line.date_ar,
        id_acte=line.id_acte,
        producteur=found.collectivite_nom,
        preuve=f"/v1/actes/{line.id}/preuve",
    )


def classification(found: Classification) -> ClassificationVue:
    """A classification with its piece types and matières."""
    return ClassificationVue(
        date_version=found.date_version,
        natures=[
            NatureVue(
                code=nature.code,
                abrege=nature.abrege,
                libelle=nature.libelle,
                type_piece_par_defaut=found.default_type(nature.code),
                types_piece=[
                    TypePieceVu(code=t.code, libelle=t.libelle) for t in found.allowed_types(nature.code)
                ],
            )
            for nature in found.natures
        ],
        matieres=[
            MatiereVue(code=".".join(map(str, path)), libelle=label) for path, label in found.matieres.items()
        ],
    )
