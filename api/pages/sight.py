"""One envelope as its page shows it: where it stands, what to do, its pieces. Built from the register's
`Whole`, so that the page, the live stream and the tests draw the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.pages.render import key_for, rich, size, time_tag, words
from api.pages.timeline import HOLDS, Step, event_sentence, machine_line, main_line
from api.problems import findings_catalogue
from api.services import Right
from api.sign_in import Visitor
from registry.envelopes import File, Line, Whole
from schemas.actes.classification import Classification
from schemas.catalogue import Lang
from schemas.findings import Finding, UnknownMessage
from schemas.states import TERMINAL, Etat

RESULT_ROLES = ("tamponne", "bordereau")
DEPOSITED_ROLES = ("document", "annexe")

MINISTRY_REFUSED = "anomalie_ministere"
CORRECTABLE = frozenset({Etat.REFUSE, Etat.ANOMALIE})
ACKNOWLEDGED = frozenset({Etat.ACQUITTE, Etat.SCELLE})


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done with the envelope now."""

    href: str
    words: str
    first: bool = False
    """Drawn as the main one; what ends something never is."""
    download: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A deposited file with its type in words."""

    file: File
    kind: str


@dataclass(frozen=True, slots=True)
class Result:
    """A file that Pli made."""

    file: File
    words: str


@dataclass(frozen=True, slots=True)
class Told:
    """A finding in the reader's language."""

    code: str
    """Empty where the sentence is not ours."""
    place: str
    sentence: str
    remedy: str
    norm: str


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything on the page of one envelope."""

    envelope: Whole
    title: str
    short_title: str
    sentence: str | Markup
    next_step: str
    turn: str
    moving: bool
    """Whether something may still happen by itself, so that the page should be live."""
    actions: tuple[Action, ...]
    findings: tuple[Told, ...]
    line: tuple[Step, ...]
    machine: tuple[Step, ...]
    results: tuple[Result, ...]
    pieces: tuple[Piece, ...]
    exchanged: tuple[File, ...]
    facts: tuple[tuple[str, str | Markup], ...]
    technical: tuple[tuple[str, str | Markup], ...]


def kind_name(transaction: str, lang: Lang) -> str:
    """`Acte`, `Annulation`, `Classification`."""
    return words().text(f"transaction_{transaction.replace('-', '_')}", lang)


def title(line: Line, lang: Lang) -> str:
    """`Acte 2026_041 – Vote du budget primitif`."""
    if line.transaction == "7-1":
        return words().text("titre_7_1", lang)
    return words().text(
        f"titre_{line.transaction.replace('-', '_')}", lang, numero=line.numero or "", objet=line.objet
    )


def subject(line: Line, lang: Lang) -> str:
    """The subject; that of a cancellation begins in the reader's language."""
    begins = words().text("annulation_de", "fr", objet="")
    if line.transaction == "6-1" and line.objet.startswith(begins):
        return words().text("annulation_de", lang, objet=line.objet.removeprefix(begins))
    return words().text("titre_7_1", lang) if line.transaction == "7-1" else line.objet


def turn_of(line: Line, lang: Lang) -> str:
    """Whose turn it is, in words; empty where it is nobody's."""
    if line.awaits == "responsable":
        return line.responsable
    return "" if line.awaits == "personne" else words().text(f"tour_{line.awaits}", lang)


def tell(finding: Mapping[str, Any], lang: Lang) -> Told:
    """A stored finding as sentences."""
    return tell_finding(
        Finding(str(finding["code"]), str(finding["place"]), dict(finding.get("params") or {})), lang
    )


def tell_finding(finding: Finding, lang: Lang) -> Told:
    """A finding of our checks as sentences; one that the catalogue can't tell is shown by its code."""
    if finding.code == MINISTRY_REFUSED:
        return _ministry_s_refusal(finding, lang)
    catalogue = findings_catalogue()
    try:
        return Told(
            finding.code,
            finding.place,
            catalogue.sentence(finding, lang),
            catalogue.advice(finding, lang),
            catalogue.norm(finding.code),
        )
    except (UnknownMessage, KeyError):
        return Told(finding.code, finding.place, finding.code, "", "")


def _ministry_s_refusal(finding: Finding, lang: Lang) -> Told:
    # The banner says already that the ministry refused and what to do: what is new is its own reason.
    given = " – ".join(filter(None, (finding.params.get("nature"), finding.params.get("detail"))))
    motif = given or words().text("sans_motif", lang)
    place = words().text("reponse_ministere", lang, transaction=finding.place)
    norm = findings_catalogue().norm(finding.code)
    return Told("", place, words().text("motif_ministere", lang, motif=motif), "", norm)


def see(whole: Whole, visitor: Visitor, classification: Classification, lang: Lang) -> Sight:
    """The page of an envelope, with the actions that this visitor may take."""
    line = whole.line
    return Sight(
        envelope=whole,
        title=title(line, lang),
        short_title=line.numero or kind_name(line.transaction, lang),
        sentence=_sentence(whole, lang),
        next_step=_next_step(whole, lang),
        turn=turn_of(line, lang),
        moving=_moving(whole),
        actions=_actions(whole, visitor, lang),
        findings=tuple(tell(f, lang) for f in whole.refus),
        line=tuple(main_line(whole, lang)),
        machine=tuple(machine_line(whole, lang)),
        results=tuple(
            Result(f, words().text(f"role_{f.role}", lang) + (f" – {f.nom}" if f.role == "tamponne" else ""))
            for f in whole.files
            if f.role in RESULT_ROLES
        ),
        pieces=tuple(
            Piece(f, _kind_of_piece(f, line, classification))
            for f in whole.files
            if f.role in DEPOSITED_ROLES
        ),
        exchanged=tuple(f for f in whole.files if f.role not in (*RESULT_ROLES, *DEPOSITED_ROLES)),
        facts=_facts(whole, classification, lang),
        technical=_technical(whole, lang),
    )


def _moving(whole: Whole) -> bool:
    # The ministry's refusal is sealed after the state is at its end.
    unsealed = whole.line.etat is Etat.ANOMALIE and whole.version_scellee is None
    return unsealed or whole.line.etat not in TERMINAL


def _sentence(whole: Whole, lang: Lang) -> str | Markup:
    latest = whole.timeline[-1] if whole.timeline else None
    if latest is not None and latest.code in HOLDS:
        return event_sentence(latest, lang)
    line = whole.line
    when = line.date_transmission if line.etat is Etat.TRANSMIS else line.updated_at
    return rich(
        key_for(f"phrase_{line.etat}", line.transaction),
        lang,
        quand=time_tag(when or line.updated_at, lang),
        date_ar=time_tag(line.date_ar, lang),
        responsable=whole.responsable,
    )


def _next_step(whole: Whole, lang: Lang) -> str:
    if whole.corrigee_par is not None:
        return words().text("suite_corrige", lang)
    key = key_for(f"suite_{whole.line.etat}", whole.line.transaction)
    return words().text(key, lang, responsable=whole.responsable)


def _actions(whole: Whole, visitor: Visitor, lang: Lang) -> tuple[Action, ...]:
    line, base = whole.line, f"/actes/{whole.line.id}"
    found: list[Action] = []

    def offer(path: str, key: str, *, download: bool = False, ends: bool = False) -> None:
        found.append(Action(path, words().text(key, lang), not found and not ends, download))

    if line.etat is Etat.A_DECIDER and visitor.may(Right.DECIDE):
        offer(f"{base}/decision", "action_decider")
    if (
        line.transaction == "1-1"
        and line.etat in CORRECTABLE
        and whole.corrigee_par is None
        and visitor.may(Right.DEPOSIT)
    ):
        offer(f"/actes/nouveau?corrige={line.id}", "action_corriger")
    if whole.version_scellee is not None and visitor.may(Right.READ):
        offer(f"{base}/preuve", "action_preuve", download=True)
    if line.etat in {Etat.DEPOSE, Etat.PRET} and visitor.may(Right.DEPOSIT):
        offer(f"{base}/retrait", "action_retirer", ends=True)
    if (
        line.transaction == "1-1"
        and line.etat in ACKNOWLEDGED
        and not whole.annulations
        and visitor.may(Right.DEPOSIT)
    ):
        offer(f"{base}/annulation", "action_annuler", ends=True)
    return tuple(found)


def _kind_of_piece(file: File, line: Line, classification: Classification) -> str:
    if not file.code_pj:
        return ""
    types = classification.allowed_types(line.nature) if line.nature else ()
    label = next((t.libelle for t in types if t.code == file.code_pj), "")
    return f"{file.code_pj} {label}".strip()


def matiere_label(matiere: str, classification: Classification) -> str:
    """`7.1 Décisions budgétaires`, from a dotted code."""
    label = classification.label(tuple(int(part) for part in matiere.split(".")))
    return f"{matiere} {label}" if label else matiere


def nature_label(nature: int, classification: Classification) -> str:
    """The nature's label, or its digit where the classification lacks it."""
    return next((n.libelle for n in classification.natures if n.code == nature), str(nature))


def _facts(whole: Whole, classification: Classification, lang: Lang) -> tuple[tuple[str, str | Markup], ...]:
    line = whole.line
    facts: list[tuple[str, str | Markup]] = []

    def tell_if(key: str, value: str | Markup | None) -> None:
        if value:
            facts.append((words().text(key, lang), value))

    tell_if("fait_numero", line.numero)
    tell_if("fait_objet", subject(line, lang))
    tell_if("fait_nature", nature_label(line.nature, classification) if line.nature else None)
    tell_if("fait_matiere", matiere_label(line.matiere, classification) if line.matiere else None)
    tell_if("fait_date_decision", time_tag(line.date_decision, lang) if line.date_decision else None)
    tell_if("fait_papier", words().text("oui", lang) if whole.document_papier else None)
    tell_if("fait_depose", time_tag(line.created_at, lang) + Markup(", {}").format(line.deposited_by))
    tell_if("fait_responsable", whole.responsable)
    tell_if("fait_transmis", time_tag(line.date_transmission, lang) if line.date_transmission else None)
    tell_if("fait_ar", time_tag(line.date_ar, lang) if line.date_ar else None)
    tell_if("fait_id_acte", line.id_acte if line.etat in {*ACKNOWLEDGED, Etat.ANNULE} else None)
    return tuple(facts)


def _technical(whole: Whole, lang: Lang) -> tuple[tuple[str, str | Markup], ...]:
    facts: list[tuple[str, str | Markup]] = [
        (words().text("fait_identifiant", lang), whole.line.id),
        (words().text("fait_transaction", lang), whole.line.transaction),
    ]
    if whole.archive_nom:
        facts.append((words().text("fait_archive", lang), whole.archive_nom))
        archive = next((f for f in whole.files if f.role == "archive"), None)
        if archive is not None:
            facts.append((words().text("fait_taille", lang), size(archive.size, lang)))
    if whole.classification_date:
        facts.append((words().text("fait_classification", lang), time_tag(whole.classification_date, lang)))
    if whole.version_scellee is not None:
        facts.append((words().text("fait_version_scellee", lang), str(whole.version_scellee)))
    return tuple(facts)
