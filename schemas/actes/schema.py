"""The XSD of ACTES v1.1, compiled once for the life of the process."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from lxml import etree

from schemas.actes.model import ACTES, INSEE
from schemas.findings import Finding

XSD = Path(__file__).with_name("xsd") / "actes.xsd"
_MOST = 20
_one_at_a_time = threading.Lock()


def validate(root: etree._Element, *, place: str) -> list[Finding]:
    """What the schema has to say about the document `root`, at most 20 findings; empty where it is valid.

    `place` is the file's name; each finding's place adds the line and the element. Source: ACTES v1.1.
    """
    schema = _compiled()
    # The log of errors belongs to the schema, which all threads share.
    with _one_at_a_time:
        if schema.validate(root):
            return []
        # The stubs do not know that a log can be walked.
        errors = [(e.line, e.path, e.message) for e in schema.error_log]  # type: ignore[attr-defined]
    errors = errors[:_MOST]
    return [
        Finding("xsd_invalide", f"{place}:{line} {path or ''}".rstrip(), {"detail": _plain(message)})
        for line, path, message in errors
    ]


def valid(root: etree._Element) -> bool:
    """Whether the schema accepts the document `root`."""
    with _one_at_a_time:
        return bool(_compiled().validate(root))


@cache
def _compiled() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(XSD))


def _plain(message: str) -> str:
    return message.replace(f"{{{ACTES}}}", "actes:").replace(f"{{{INSEE}}}", "insee:")[:300]
