"""How a message is written: elements and attributes of ACTES, Latin-1 text, prefix ``actes:``.

Business software looks for the literal prefix (fact sheet §8.6), so it is part of the contract.
"""

from __future__ import annotations

from lxml import etree

from schemas.actes.model import ACTES, NAMESPACES, a
from schemas.actes.text import to_latin1

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA_LOCATION = f"{{{_XSI}}}schemaLocation"


def root(name: str, **attributes: object) -> etree._Element:
    """A message's root element; attributes are put into the namespace of ACTES."""
    element = etree.Element(a(name), nsmap={**NAMESPACES, "xsi": _XSI})
    element.set(SCHEMA_LOCATION, f"{ACTES} actesv1_1.xsd")
    return _with(element, attributes)


def child(parent: etree._Element, name: str, text: str | None = None, **attributes: object) -> etree._Element:
    """A new last child of `parent`, its text transliterated."""
    element = etree.SubElement(parent, a(name))
    if text is not None:
        element.text = to_latin1(text)
    return _with(element, attributes)


def serialise(element: etree._Element) -> bytes:
    """The document in ISO-8859-1, with its declaration."""
    data = etree.tostring(element, encoding="ISO-8859-1", xml_declaration=True)
    assert isinstance(data, bytes), "an encoding was named"
    return data


def _with(element: etree._Element, attributes: dict[str, object]) -> etree._Element:
    for name, value in attributes.items():
        element.set(a(name), to_latin1(str(value)))
    return element
