"""Our ACTES schema against a reference set: valid samples of every root element, and thousands of mutations.

    python -m tests.schemas.conformance FOLDER

FOLDER holds a set of public schemas with `actesv1_1.xsd` somewhere in it. Both schemas judge every document;
a difference is printed with the sample, the mutation and both verdicts, and makes the command end with 1.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from schemas.actes import answers
from schemas.actes.classification import national
from schemas.actes.model import ACTES, INSEE, SIREN, a
from schemas.actes.package import package_annulation, package_demande_classification
from schemas.actes.schema import XSD
from tests.samples import actes as samples

_XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_ID = "044-214400152-20261120-2026_042-DE"
RANDOM_PER_SAMPLE = 400

VALUES = (
    *("", " ", "0", "1", "01", "001", "002", "1 ", "+1", "-1", "9", "10", "31", "100", "101", "999", "1000"),
    *("1.0", "0x1", "Ⅷ", "2A", "02A", "02B", "02a", "971", "|1A", "0|1", "044", "O", "N", "é", "<&>"),
    *("2026-11-20", "2026-02-30", "2026-11-20Z", "2026-11-20+01:00", " 2026-11-20 ", "26-1-1", "20261120"),
    *("-2026-11-20", "12026-11-20", "2026-11-20T00:00:00", "214400152", "21440015", "2144001522"),
    *("21440015A", "a@b.fr", "a+b@c.fr", "a@b.museums", "a@b", "a.b_c-d@e-f.g.info", "a..b@c.fr", "@b.fr"),
    *("a@b.f", "É@b.fr", "DE", "D", "DEL", "99_DE"),
    *("x" * 15, "x" * 16, "x" * 500, "x" * 501, "é" * 500, "\U0001f600" * 500),
    *(_ID, _ID.lower(), _ID.replace("_", "-"), _ID.replace("2026_042", ""), _ID.replace("2026_042", "é")),
    *(_ID.replace("DE", "ZZ"), _ID.replace("DE", "ÉE"), _ID.replace("20261120", "20269999"), _ID + " "),
    *(_ID.replace("2026_042", "X" * 15), _ID.replace("2026_042", "X" * 16), _ID.replace("044", "02A")),
)
"""Texts around every facet of the norm."""


@dataclass(frozen=True)
class Difference:
    """A document on which the two schemas disagree."""

    sample: str
    mutation: str
    ours: bool
    reference: bool
    document: bytes


@dataclass
class Report:
    """What the comparison found."""

    judged: int
    valid: int
    by_mutation: Counter[str]
    differences: list[Difference]


def reference_schema(folder: Path) -> etree.XMLSchema:
    """The reference in `folder`; raises FileNotFoundError where there is none."""
    found = sorted(folder.rglob("actesv1_1.xsd"))
    if not found:
        raise FileNotFoundError(f"no actesv1_1.xsd in {folder}")
    return etree.XMLSchema(etree.parse(found[0]))


def compare(folder: Path, *, seed: int = 0, random_per_sample: int = RANDOM_PER_SAMPLE) -> Report:
    """Judge every sample and every mutation of it by our schema and by the one in `folder`."""
    ours, reference = etree.XMLSchema(etree.parse(XSD)), reference_schema(folder)
    report = Report(0, 0, Counter(), [])
    for name, sample in valid_samples().items():
        dice = random.Random(f"{seed}/{name}")
        for mutation, document in _documents(sample, dice, random_per_sample):
            verdicts = ours.validate(document), reference.validate(document)
            report.judged += 1
            report.valid += verdicts[1]
            report.by_mutation[mutation.split(" ")[0]] += 1
            if verdicts[0] != verdicts[1]:
                written = etree.tostring(document)
                report.differences.append(Difference(name, mutation, *verdicts, written))
    return report


def valid_samples() -> dict[str, etree._Element]:
    """A valid document of every root element of ACTES v1.1, and variants of those with choices."""
    packed = samples.package()
    day, current = samples.TODAY, national().date_version
    kw = {
        "jour": day,
        "rang": 1,
        "adresses_retour": samples.ADRESSES,
        "trigramme": samples.TRIGRAMME,
        "quadrigramme": samples.QUADRIGRAMME,
    }
    annulation = package_annulation(_ID, "2026_042", 1, day, samples.EMETTEUR, **kw)  # type: ignore[arg-type]
    demande = package_demande_classification(samples.EMETTEUR, current, **kw)  # type: ignore[arg-type]
    back = {"siren": samples.EMETTEUR.siren, "departement": "044", "formulaires": ["a.xml", "b.xml"]}
    documents: dict[str, bytes] = {
        "EnveloppeCLMISILL": packed.envelope_xml,
        "Acte": packed.message_xml,
        "ARActe": answers.build_ar_acte(
            packed.message_xml, id_acte=_ID, date_reception=day, classification=current
        ),
        "AnomalieActe": answers.build_anomalie_acte(
            packed.message_xml, jour=day, nature="002", detail="ODT-VERIF-01 : x", classification=current
        ),
        "AnomalieEnveloppe": answers.build_anomalie_enveloppe(
            packed.envelope_xml, jour=day, nature="001", detail="x"
        ),
        "Annulation": annulation.message_xml,
        "ARAnnulation": answers.build_ar_annulation(id_acte=_ID, date_reception=day),
        "DemandeClassification": demande.message_xml,
        "RetourClassification": answers.build_retour_classification(national()),
        "ReponseClassificationSansChangement": answers.build_classification_sans_changement(current),
        "EnveloppeMISILLCL (sous-préfecture)": answers.build_enveloppe_retour(arrondissement="1", **back),  # type: ignore[arg-type]
        "EnveloppeMISILLCL (préfecture)": answers.build_enveloppe_retour(arrondissement=None, **back),  # type: ignore[arg-type]
    }
    parsed = {name: etree.fromstring(data) for name, data in documents.items()}
    parsed["RetourClassification"] = _small_classification(parsed["RetourClassification"])
    parsed["EnveloppeCLMISILL (référent)"] = _with_referent(parsed["EnveloppeCLMISILL"])
    parsed["EnveloppeMISILLCL (SGAR)"] = _with_sgar(parsed["EnveloppeMISILLCL (préfecture)"])
    parsed["Acte (tout)"] = _full_acte(parsed["Acte"])
    return parsed | _letters()


def _documents(
    sample: etree._Element, dice: random.Random, random_per_sample: int
) -> Iterator[tuple[str, etree._Element]]:
    yield "sample", sample
    yield from _roots(sample)
    size = len(list(sample.iter()))
    for mutation in _each_mutation(sample):
        yield from _applied(sample, [mutation])
    for _ in range(random_per_sample):
        chosen = [dice.choice(_RANDOM)(dice, size) for _ in range(dice.randint(1, 3))]
        yield from _applied(sample, chosen)


Mutation = tuple[str, Callable[[list[etree._Element]], None]]
"""A name, and what it does to the list of a document's elements; IndexError or ValueError: not here."""


def _applied(sample: etree._Element, mutations: list[Mutation]) -> Iterator[tuple[str, etree._Element]]:
    document = deepcopy(sample)
    try:
        for _, change in mutations:
            change(list(document.iter()))
    except (IndexError, ValueError, TypeError, AttributeError):
        return
    # Through bytes, as documents come: a tree built by hand may hold what no document can.
    yield " + ".join(name for name, _ in mutations), etree.fromstring(etree.tostring(document))


def _roots(sample: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    for node in sample.iter():
        yield f"subtree as root {node.tag}", deepcopy(node)
    for tag in _vocabulary():
        renamed = deepcopy(sample)
        renamed.tag = tag
        yield f"root renamed {tag}", renamed


def _each_mutation(sample: etree._Element) -> Iterator[Mutation]:
    for at, node in enumerate(sample.iter()):
        if at:
            yield f"drop {node.tag}", _drop(at)
            yield f"duplicate {node.tag}", _duplicate(at)
            yield f"swap {node.tag}", _swap(at)
        yield f"nil {node.tag}", _set(at, _XSI_NIL, "true")
        yield f"stranger-attribute {node.tag}", _set(at, a("Inconnu"), "1")
        yield f"stranger-element {node.tag}", _insert(at, a("Inconnu"), 0)
        yield f"foreign-element {node.tag}", _insert(at, "{urn:x}y", 0)
        for value in VALUES:
            yield f"text {node.tag}={value[:30]!r}", _text(at, value)
        for name in node.attrib:
            yield f"drop-attribute {name}", _drop_attribute(at, str(name))
            yield f"bare-attribute {name}", _bare_attribute(at, str(name))
            for value in VALUES:
                yield f"attribute {name}={value[:30]!r}", _set(at, str(name), value)


def _drop(at: int) -> Callable[[list[etree._Element]], None]:
    def change(nodes: list[etree._Element]) -> None:
        nodes[at].getparent().remove(nodes[at])  # type: ignore[union-attr]

    return change


def _duplicate(at: int) -> Callable[[list[etree._Element]], None]:
    return lambda nodes: nodes[at].addnext(deepcopy(nodes[at]))


def _swap(at: int) -> Callable[[list[etree._Element]], None]:
    def change(nodes: list[etree._Element]) -> None:
        nodes[at].getprevious().addprevious(nodes[at])  # type: ignore[union-attr]

    return change


def _set(at: int, name: str, value: str) -> Callable[[list[etree._Element]], None]:
    return lambda nodes: nodes[at].set(name, value)


def _text(at: int, value: str) -> Callable[[list[etree._Element]], None]:
    def change(nodes: list[etree._Element]) -> None:
        nodes[at].text = value

    return change


def _insert(at: int, tag: str, position: int) -> Callable[[list[etree._Element]], None]:
    return lambda nodes: nodes[at].insert(position, etree.Element(tag))


def _drop_attribute(at: int, name: str) -> Callable[[list[etree._Element]], None]:
    return lambda nodes: nodes[at].attrib.__delitem__(name)


def _bare_attribute(at: int, name: str) -> Callable[[list[etree._Element]], None]:
    def change(nodes: list[etree._Element]) -> None:
        value = nodes[at].attrib.pop(name)
        nodes[at].set(etree.QName(name).localname, value)

    return change


def _random_rename(dice: random.Random, size: int) -> Mutation:
    at, tag = dice.randrange(size), dice.choice(_vocabulary())

    def change(nodes: list[etree._Element]) -> None:
        nodes[at].tag = tag

    return f"rename #{at} to {tag}", change


def _random_insert(dice: random.Random, size: int) -> Mutation:
    at, tag = dice.randrange(size), dice.choice(_vocabulary())
    return f"insert {tag} in #{at}", _insert(at, tag, dice.randrange(4))


def _random_move(dice: random.Random, size: int) -> Mutation:
    at, to = dice.randrange(1, max(size, 2)), dice.randrange(size)
    return f"move #{at} into #{to}", lambda nodes: nodes[to].insert(dice.randrange(3), nodes[at])


def _random_attribute(dice: random.Random, size: int) -> Mutation:
    at, name, value = dice.randrange(size), dice.choice(_attributes()), dice.choice(VALUES)
    return f"attribute {name} on #{at}", _set(at, name, value)


def _random_text(dice: random.Random, size: int) -> Mutation:
    at, value = dice.randrange(size), dice.choice(VALUES)
    return f"text #{at}={value[:30]!r}", _text(at, value)


def _random_drop(dice: random.Random, size: int) -> Mutation:
    at = dice.randrange(1, max(size, 2))
    return f"drop #{at}", _drop(at)


def _random_duplicate(dice: random.Random, size: int) -> Mutation:
    at = dice.randrange(1, max(size, 2))
    return f"duplicate #{at}", _duplicate(at)


_RANDOM = (
    _random_rename,
    _random_insert,
    _random_move,
    _random_attribute,
    _random_text,
    _random_drop,
    _random_duplicate,
)


def _vocabulary() -> list[str]:
    """Every element that our schema knows, at any depth."""
    return sorted({a(str(e.get("name"))) for e in _declarations("element") if e.get("name")})


def _attributes() -> list[str]:
    return sorted({a(str(e.get("name"))) for e in _declarations("attribute") if e.get("name")} | {SIREN, "x"})


def _declarations(kind: str) -> Iterator[etree._Element]:
    for file in sorted(XSD.parent.glob("*.xsd")):
        if file.name != "insee.xsd":
            yield from etree.parse(file).iter(f"{{http://www.w3.org/2001/XMLSchema}}{kind}")


def _element(tag: str, attributes: dict[str, str] | None = None, *children: etree._Element) -> etree._Element:
    node = etree.Element(a(tag), nsmap={"actes": ACTES, "insee": INSEE})
    for name, value in (attributes or {}).items():
        node.set(a(name), value)
    node.extend(children)
    return node


def _with_text(tag: str, text: str) -> etree._Element:
    node = _element(tag)
    node.text = text
    return node


def _file(tag: str) -> etree._Element:
    signature = _element("Signature")
    signature.text = "MIIB"
    return _element(tag, None, _with_text("NomFichier", "lettre.pdf"), signature)


def _letters() -> dict[str, etree._Element]:
    about = {"IDActe": _ID, "DateCourrierPref": "2026-11-01"}
    received = {"DateReception": "2026-11-02"}
    pieces = _element("PiecesJointes", None, _file("PieceJointe"), _file("PieceJointe"))
    found = [
        _element(name, about, _file("Document"))
        for name in (
            "CourrierSimple",
            "ReponseCourrierSimple",
            "RefusPieceComplementaire",
            "RejetLettreObservations",
            "ReponseLettreObservations",
        )
    ]
    found += [
        _element(name, received, _element("InfosCourrierPref", about))
        for name in ("ARPieceComplementaire", "ARReponseRejetLettreObservations")
    ]
    found += [_element(name, about) for name in ("ARDemandePieceComplementaire", "ARLettreObservations")]
    found += [
        _element(
            "DemandePieceComplementaire", about, _with_text("DescriptionPieces", "Plan"), _file("Document")
        ),
        _element("LettreObservations", about, _with_text("Motif", "Délai"), _file("Document")),
        _element(
            "PieceComplementaire",
            about,
            _element("Documents", None, _file("Document"), _file("Document")),
        ),
        _element(
            "DefereTA",
            {"IDActe": _ID},
            _with_text("DateDepot", "2026-11-20"),
            _with_text("NatureIllegalite", "Incompétence"),
            pieces,
        ),
    ]
    return {str(etree.QName(node).localname): node for node in found}


def _small_classification(full: etree._Element) -> etree._Element:
    """Two natures of two types, one matière of five levels: small enough to mutate every part."""
    small = deepcopy(full)
    natures, matieres = small.find(a("NaturesActes")), small.find(a("Matieres"))
    assert natures is not None
    assert matieres is not None
    for nature in natures[2:]:
        natures.remove(nature)
    for nature in natures:
        for type_pj in nature[2:]:
            nature.remove(type_pj)
    for matiere in matieres[2:]:
        matieres.remove(matiere)
    for matiere in matieres:
        for below in matiere[2:]:
            matiere.remove(below)
    node = matieres[0][0]
    for level in (3, 4, 5):
        below = _element(f"Matiere{level}", {"CodeMatiere": "1", "Libelle": "Locale"})
        node.append(below)
        node = below
    return small


def _with_referent(envelope: etree._Element) -> etree._Element:
    changed = deepcopy(envelope)
    emetteur = changed.find(a("Emetteur"))
    assert emetteur is not None
    parts = [_with_text("Nom", "Ève"), _with_text("Telephone", "02"), _with_text("Email", "eve@commune.fr")]
    emetteur.append(_element("Referent", None, *parts))
    return changed


def _with_sgar(envelope: etree._Element) -> etree._Element:
    changed = deepcopy(envelope)
    service = changed.find(f"{a('Emetteur')}/{a('IDPref')}")
    assert service is not None
    service.tag = a("IDSGAR")
    return changed


def _full_acte(acte: etree._Element) -> etree._Element:
    """Every optional part, with the gap that real files have (levels 1, 2, 3 and 5)."""
    changed = deepcopy(acte)
    for level in (5, 3):
        changed.insert(2, _element(f"CodeMatiere{level}", {"CodeMatiere": "1"}))
    objet = changed.find(a("Objet"))
    assert objet is not None
    objet.addnext(_element("PrecedentIdentifiantActe", {"IDActe": _ID}))
    document = changed.find(a("Document"))
    assert document is not None
    signature = _element("Signature")
    signature.append(etree.Element("{urn:x}anything"))
    document.append(signature)
    return changed


def main(arguments: list[str]) -> int:
    """Print the comparison with the set in the folder `arguments[0]`; 1 where the schemas differ."""
    if len(arguments) != 1:
        print("usage: python -m tests.schemas.conformance FOLDER", file=sys.stderr)  # noqa: T201 a command
        return 2
    report = compare(Path(arguments[0]))
    for difference in report.differences[:200]:
        print(  # noqa: T201 a command
            f"DIFFERENCE {difference.sample}: {difference.mutation}: "
            f"ours {_word(difference.ours)}, reference {_word(difference.reference)}"
        )
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.by_mutation.most_common())
    print(f"libxml2 {'.'.join(map(str, etree.LIBXML_VERSION))}; {kinds}")  # noqa: T201 a command
    print(  # noqa: T201 a command
        f"{report.judged} documents, {report.valid} valid by the reference, "
        f"{len(report.differences)} differences"
    )
    return 1 if report.differences else 0


def _word(verdict: bool) -> str:
    return "valid" if verdict else "invalid"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
