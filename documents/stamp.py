"""The stamp (tampon) on a copy of an act: when it was sent, received and published, and its identifier.

The original is the record and stays as it came. A copy that carries a signature is stamped by an incremental
update, so that its first bytes are still the signed file; any other copy is rewritten, which is faster.
Contents and place follow the field's practice (ACTES fact sheet §7.4).
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pikepdf
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader

from documents.errors import DocumentError
from documents.typesetting import printable, typeset_part
from schemas.content import limit_pdf_reader

limit_pdf_reader()
WIDTH = 200.0
HEIGHT = 54.0
"""Size of the stamp, in points; the same as the page of `tampon.typ`."""
MARGIN = 10.0
"""From the top left corner that a reader sees, in points."""

_TREE_DEPTH = 64
_SIGNATURES_EXIST = 1

Matrix = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the stamp says."""

    envoye: date
    """Day on which the envelope was sent, in Paris."""
    recu: date
    """`DateReception` of the acknowledgement."""
    publie: date | None
    """Day of publication; blank where it is not known."""
    id_acte: str


def stamp_pdf(pdf: bytes, stamp: Stamp) -> bytes:
    """A copy of `pdf` with `stamp` at the top left of every page, as the reader sees it.

    Raises `DocumentError`: ``pdf_illisible`` (damaged structure, no page), ``pdf_chiffre``
    (encrypted).
    """
    drawing = typeset_part("tampon.typ", {"lignes": _lines(stamp)})
    try:
        with pikepdf.open(io.BytesIO(pdf)) as document:
            _check_open(document)
            placements = [_placement(page) for page in document.pages]
            if _is_signed(pdf, document):
                return _append(pdf, drawing, placements)
            return _rewrite(document, drawing, placements)
    except DocumentError:
        raise
    except pikepdf.PasswordError as error:
        raise DocumentError("pdf_chiffre") from error
    except Exception as error:  # what a broken file does to a PDF library can't be listed
        raise DocumentError("pdf_illisible") from error


def placement(box: Sequence[float], rotation: int, unit: float = 1.0) -> Matrix:
    """The matrix that draws the stamp at the top left of a page as its reader sees it.

    `box` is the page's visible box in its own units, `rotation` its clockwise turn in degrees, `unit` the
    size of its unit in points (ISO 32000-1, 7.7.3.3 and 8.3.4). A page narrower than the stamp gets a smaller
    one. Raises ValueError for a box without area.
    """
    left, right = sorted((box[0], box[2]))
    bottom, top = sorted((box[1], box[3]))
    turn = rotation % 360
    wide, high = (right - left, top - bottom) if turn % 180 == 0 else (top - bottom, right - left)
    if not (math.isfinite(wide * high) and wide > 0 and high > 0 and math.isfinite(unit) and unit > 0):
        raise ValueError("a page without area")
    scale = min(1 / unit, wide / (WIDTH + 2 * MARGIN), high / (HEIGHT + 2 * MARGIN))
    corner, rightwards, upwards = {
        0: ((left, top), (1, 0), (0, 1)),
        90: ((left, bottom), (0, 1), (-1, 0)),
        180: ((right, bottom), (-1, 0), (0, -1)),
        270: ((right, top), (0, -1), (1, 0)),
    }[turn]
    along, down = MARGIN * scale, (MARGIN + HEIGHT) * scale
    return (
        scale * rightwards[0],
        scale * rightwards[1],
        scale * upwards[0],
        scale * upwards[1],
        corner[0] + along * rightwards[0] - down * upwards[0],
        corner[1] + along * rightwards[1] - down * upwards[1],
    )


def _lines(stamp: Stamp) -> list[dict[str, str]]:
    published = f"{stamp.publie:%d/%m/%Y}" if stamp.publie is not None else ""
    return [
        {"libelle": "Envoyé en préfecture le", "valeur": f"{stamp.envoye:%d/%m/%Y}"},
        {"libelle": "Reçu en préfecture le", "valeur": f"{stamp.recu:%d/%m/%Y}"},
        {"libelle": "Publié le", "valeur": published},
        {"libelle": "ID\u00a0:", "valeur": printable(stamp.id_acte)},
    ]


def _check_open(document: pikepdf.Pdf) -> None:
    if document.is_encrypted:
        raise DocumentError("pdf_chiffre")


def _is_signed(pdf: bytes, document: pikepdf.Pdf) -> bool:
    # A signature dictionary lies in the clear, because /ByteRange counts the file's own bytes around it.
    if b"/ByteRange" in pdf:
        return True
    form = document.Root.get("/AcroForm")
    flags = form.get("/SigFlags", 0) if isinstance(form, pikepdf.Dictionary) else 0
    return bool(int(flags) & _SIGNATURES_EXIST)


def _placement(page: pikepdf.Page) -> Matrix:
    box = [float(edge) for edge in page.cropbox]
    unit = float(page.obj.get("/UserUnit", 1))
    return placement(box, int(_inherited(page.obj, "/Rotate", 0)), unit)


def _inherited(node: pikepdf.Object, name: str, default: int) -> pikepdf.Object | int:
    for _ in range(_TREE_DEPTH):
        if name in node:
            return node[name]
        if "/Parent" not in node:
            return default
        node = node["/Parent"]
    raise ValueError("a page tree without root")


def _drawing_of(matrix: Matrix, name: str) -> bytes:
    """Content that ends the page's own and draws the stamp as an artifact, outside the page's text."""
    numbers = " ".join(f"{number:.4f}" for number in matrix)
    return f"\nQ /Artifact BMC q {numbers} cm {name} Do Q EMC\n".encode("ascii")


def _free_name(taken: set[str]) -> str:
    return next(name for n in range(len(taken) + 1) if (name := f"/PliTampon{n}") not in taken)


def _rewrite(document: pikepdf.Pdf, drawing: bytes, placements: Sequence[Matrix]) -> bytes:
    with pikepdf.open(io.BytesIO(drawing)) as stamp:
        form = document.copy_foreign(stamp.pages[0].as_form_xobject())
    opening = document.make_stream(b"q\n")
    for page, matrix in zip(document.pages, placements, strict=True):
        resources = copy.copy(page.resources)
        xobjects = copy.copy(resources.get("/XObject", pikepdf.Dictionary()))
        name = _free_name({str(key) for key in xobjects})
        xobjects[name] = form
        resources["/XObject"] = xobjects
        page.obj["/Resources"] = resources
        own = page.obj.get("/Contents", pikepdf.Array())
        contents = list(own.as_list()) if isinstance(own, pikepdf.Array) else [own]
        closing = document.make_stream(_drawing_of(matrix, name))
        page.obj["/Contents"] = pikepdf.Array([opening, *contents, closing])
    out = io.BytesIO()
    document.save(out, deterministic_id=True, compress_streams=True, recompress_flate=False)
    return out.getvalue()


def _append(pdf: bytes, drawing: bytes, placements: Sequence[Matrix]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    form = writer.import_page_as_xobject(PdfFileReader(io.BytesIO(drawing)))
    opening = writer.add_object(generic.StreamObject(stream_data=b"q\n"))
    for index, matrix in enumerate(placements):
        page_ref, inherited = writer.find_page_for_modification(index)
        page = page_ref.get_object()
        resources = generic.DictionaryObject(inherited.get_object())
        xobjects = generic.DictionaryObject(resources.get("/XObject", generic.DictionaryObject()))
        name = _free_name({str(key) for key in xobjects})
        xobjects[generic.NameObject(name)] = form
        resources[generic.NameObject("/XObject")] = xobjects
        page[generic.NameObject("/Resources")] = resources
        closing = writer.add_object(generic.StreamObject(stream_data=_drawing_of(matrix, name)))
        page[generic.NameObject("/Contents")] = generic.ArrayObject([opening, *_contents(page), closing])
        writer.update_container(page)
        writer.mark_update(page_ref)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _contents(page: generic.DictionaryObject) -> list[generic.PdfObject]:
    if "/Contents" not in page:
        return []
    own = page.raw_get("/Contents")
    value = own.get_object()
    if isinstance(value, generic.ArrayObject):
        return [value.raw_get(index) for index in range(len(value))]
    return [own]
