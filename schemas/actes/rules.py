"""Recevabilité of an act: the norm's rules before an envelope is built, one function each.

Numbers of paragraphs are those of the fact sheet on ACTES; its §10 chooses where its sources differ.

 1. who transmits         siren, departement, arrondissement, nature of the collectivité
 2. the act               numero, date, nature, objet
 3. its classification    up to date, matière, piece types
 4. its files             formats, empty ones, number of annexes, size of the whole
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from schemas import catalogue
from schemas.actes.classification import Classification, national
from schemas.actes.model import Acte, Emetteur, Piece
from schemas.actes.text import to_latin1, unmappable
from schemas.catalogue import Lang
from schemas.content import JPEG, LABELS, PDF, PNG, XML
from schemas.findings import Finding
from schemas.identifiers import Departement, Siren
from schemas.tar import DEFAULT_LIMITS, NORM_LIMIT, plain_name, printable

DECENTRALISATION = date(1982, 3, 2)
"""Loi n° 82-213: acts of the collectivités are transmitted to the State's representative."""
OBJET_MAX = 499
_TYPES_SHOWN = 12
ANNEXES_MAX = DEFAULT_LIMITS.max_members - 3
"""What an archive of ours may hold beside envelope, message and main document."""
_BUDGETAIRE = 5
_DECISIONS_BUDGETAIRES = (7, 1)


@dataclass(frozen=True, slots=True)
class Context:
    """What an act is checked against."""

    emetteur: Emetteur
    today: date
    """Today in Europe/Paris."""
    classification: Classification
    """The authority's own, or the national one until its first 7-2."""


Check = Callable[[Acte, Context], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its code (also its finding's), and the function that finds what breaks it."""

    code: str
    check: Check

    @property
    def norm(self) -> str:
        """The norm and section that it comes from; empty for a rule of our own."""
        return catalogue.load("schemas").norm(self.code)

    def summary(self, lang: Lang = "fr") -> str:
        """The rule in one sentence."""
        return catalogue.load("schemas").entry(self.code)[f"{lang}_rule"]


_registered: list[Rule] = []


def _rule(code: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        _registered.append(Rule(code, check))
        return check

    return register


def check_acte(acte: Acte, context: Context) -> list[Finding]:
    """Everything that keeps `acte` from being transmitted; empty where it is receivable.

    Places are JSON pointers into the act: ``/numero``, ``/document``, ``/annexes/0``.
    """
    return [finding for rule in RULES for finding in rule.check(acte, context)]


@_rule("siren_invalide")
def siren(_acte: Acte, context: Context) -> Iterator[Finding]:
    """Nine digits with their key. §1.1, §9 (the schema does not check the key)."""
    if not Siren.valid(context.emetteur.siren):
        yield Finding("siren_invalide", "/emetteur/siren", {"valeur": context.emetteur.siren[:40]})


@_rule("departement_invalide")
def departement(_acte: Acte, context: Context) -> Iterator[Finding]:
    """Three characters, Corsica included, without the schema's slip. §1.1, §2.2."""
    if not Departement.valid(context.emetteur.departement):
        yield Finding(
            "departement_invalide", "/emetteur/departement", {"valeur": context.emetteur.departement[:40]}
        )


@_rule("arrondissement_invalide")
def arrondissement(_acte: Acte, context: Context) -> Iterator[Finding]:
    """One digit. §2.2."""
    if not re.fullmatch(r"[0-9]", context.emetteur.arrondissement):
        yield Finding(
            "arrondissement_invalide",
            "/emetteur/arrondissement",
            {"valeur": context.emetteur.arrondissement[:40]},
        )


@_rule("nature_collectivite_invalide")
def nature_collectivite(_acte: Acte, context: Context) -> Iterator[Finding]:
    """Two digits. §2.2, §3.2."""
    if not re.fullmatch(r"[0-9]{2}", context.emetteur.nature):
        yield Finding(
            "nature_collectivite_invalide", "/emetteur/nature", {"valeur": context.emetteur.nature[:40]}
        )


@_rule("numero_invalide")
def numero(acte: Acte, _context: Context) -> Iterator[Finding]:
    """1 to 15 capitals, digits or ``_``, neither first nor last a ``_``. §1.6 (S2LOW), §10.1."""
    if not re.fullmatch(r"([A-Z0-9][A-Z0-9_]{0,13})?[A-Z0-9]", acte.numero):
        yield Finding("numero_invalide", "/numero", {"numero": acte.numero[:40]})


@_rule("date_future")
def date_decision(acte: Acte, context: Context) -> Iterator[Finding]:
    """The decision was taken today or before. §4, §10.1."""
    if acte.date_decision > context.today:
        yield Finding("date_future", "/date_decision", {"date": acte.date_decision.isoformat()})


@_rule("date_ancienne")
def date_ancienne(acte: Acte, _context: Context) -> Iterator[Finding]:
    """Not before 2 March 1982, when loi n° 82-213 made the transmission of acts a duty. Rule of our own."""
    if acte.date_decision < DECENTRALISATION:
        yield Finding("date_ancienne", "/date_decision", {"date": acte.date_decision.isoformat()})


@_rule("nature_inconnue")
def nature(acte: Acte, context: Context) -> Iterator[Finding]:
    """One of the national natures, 1 to 6, and in the classification. §3.1, §10.1."""
    for natures in (national().natures, context.classification.natures):
        if acte.nature not in {n.code for n in natures}:
            yield Finding("nature_inconnue", "/nature", {"nature": str(acte.nature)})
            return


@_rule("objet_vide")
def objet_vide(acte: Acte, _context: Context) -> Iterator[Finding]:
    """At least one character. §4."""
    if not to_latin1(acte.objet).strip("\u00a0 "):
        yield Finding("objet_vide", "/objet")


@_rule("objet_trop_long")
def objet_trop_long(acte: Acte, _context: Context) -> Iterator[Finding]:
    """At most 499 characters, counted as they are sent: a € is three. §4 (S2LOW), §2.1."""
    longueur = len(to_latin1(acte.objet))
    if longueur > OBJET_MAX:
        yield Finding("objet_trop_long", "/objet", {"longueur": str(longueur), "limite": str(OBJET_MAX)})


@_rule("objet_caracteres")
def objet_caracteres(acte: Acte, _context: Context) -> Iterator[Finding]:
    """Only characters that ISO-8859-1 carries or that have an equivalent in it. §2.1."""
    lost = unmappable(acte.objet)
    if lost:
        shown = " ".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in lost[:10])
        yield Finding("objet_caracteres", "/objet", {"caracteres": shown})


@_rule("classification_perimee")
def classification_perimee(acte: Acte, context: Context) -> Iterator[Finding]:
    """Chosen from the classification in force; else the ministry answers ODT-VERIF-01. §4, §5.5."""
    current = context.classification.date_version
    if acte.classification_date != current:
        yield Finding(
            "classification_perimee",
            "/classification_date",
            {"date": acte.classification_date.isoformat(), "en_vigueur": current.isoformat()},
        )


@_rule("matiere_incomplete")
def matiere_incomplete(acte: Acte, _context: Context) -> Iterator[Finding]:
    """Two levels at least, five at most. §3.3, §4."""
    if not 2 <= len(acte.matiere) <= 5:
        yield Finding("matiere_incomplete", "/matiere", {"matiere": _dotted(acte.matiere)})


@_rule("matiere_inconnue")
def matiere_inconnue(acte: Acte, context: Context) -> Iterator[Finding]:
    """In the authority's classification, down to its last level. §3.3, §10.1."""
    if context.classification.label(acte.matiere) is None:
        yield Finding("matiere_inconnue", "/matiere", {"matiere": _dotted(acte.matiere)})


@_rule("type_pj_interdit")
def type_pj(acte: Acte, context: Context) -> Iterator[Finding]:
    """Five characters, and allowed for the nature, on every document. §3.4, §5.3, §10.1."""
    natures = {n.code: n.libelle for n in context.classification.natures}
    allowed = [t.code for t in context.classification.allowed_types(acte.nature)]
    shown = ", ".join(allowed[:_TYPES_SHOWN]) + (", …" if len(allowed) > _TYPES_SHOWN else "")
    for place, piece in _placed(acte):
        if not re.fullmatch(r"[A-Z0-9_]{5}", piece.code_pj) or piece.code_pj not in allowed:
            params = {
                "code_pj": piece.code_pj[:40],
                "nature": natures.get(acte.nature, str(acte.nature)),
                "permis": shown or "–",
            }
            yield Finding("type_pj_interdit", place, params)


@_rule("document_format")
def document_format(acte: Acte, _context: Context) -> Iterator[Finding]:
    """PDF; XML only for a budget (nature 5 and matière 7.1). §4 (S2LOW)."""
    budget = acte.nature == _BUDGETAIRE and acte.matiere[:2] == _DECISIONS_BUDGETAIRES
    if acte.document.media_type not in ({PDF, XML} if budget else {PDF}):
        yield Finding("document_format", "/document", {"format": _label(acte.document)})


@_rule("annexe_format")
def annexe_format(acte: Acte, _context: Context) -> Iterator[Finding]:
    """PDF, JPEG, PNG or XML; PDF alone beside a main document in XML. §4 (S2LOW)."""
    allowed = {PDF} if acte.document.media_type == XML else {PDF, JPEG, PNG, XML}
    for place, piece in _placed(acte)[1:]:
        if piece.media_type not in allowed:
            yield Finding("annexe_format", place, {"format": _label(piece)})


@_rule("nom_piece_interdit")
def nom_piece(acte: Acte, _context: Context) -> Iterator[Finding]:
    """A name that is only a name: no folder, no control or invisible character. Rule of our own."""
    for place, piece in _placed(acte):
        if not plain_name(piece.nom):
            yield Finding("nom_piece_interdit", f"{place}/nom", {"nom": printable(piece.nom)})


@_rule("piece_vide")
def piece_vide(acte: Acte, _context: Context) -> Iterator[Finding]:
    """No empty file. Rule of our own."""
    for place, piece in _placed(acte):
        if piece.size <= 0:
            yield Finding("piece_vide", place)


@_rule("annexes_trop_nombreuses")
def annexes_trop_nombreuses(acte: Acte, _context: Context) -> Iterator[Finding]:
    """As many annexes as an archive of ours may hold; the norm has no limit (§4). Rule of our own."""
    if len(acte.annexes) > ANNEXES_MAX:
        yield Finding(
            "annexes_trop_nombreuses",
            "/annexes",
            {"nombre": str(len(acte.annexes)), "limite": str(ANNEXES_MAX)},
        )


@_rule("taille_depassee")
def taille(acte: Acte, _context: Context) -> Iterator[Finding]:
    """Files of 157 286 400 bytes together at most; the archive is checked again once packed. §4, §10.1."""
    if sum(piece.size for piece in acte.pieces) > NORM_LIMIT:
        yield Finding("taille_depassee", "", {"limite": str(NORM_LIMIT)})


RULES: tuple[Rule, ...] = tuple(_registered)
"""All rules, in the order in which a person reads the form."""


def _placed(acte: Acte) -> list[tuple[str, Piece]]:
    return [("/document", acte.document)] + [(f"/annexes/{i}", p) for i, p in enumerate(acte.annexes)]


def _label(piece: Piece) -> str:
    return LABELS.get(piece.media_type, piece.media_type[:60])


def _dotted(matiere: tuple[int, ...]) -> str:
    return ".".join(map(str, matiere))
