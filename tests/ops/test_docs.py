"""The documents tell the truth: what they name is there."""

from __future__ import annotations

import re

import pytest

from ops.house import ROOT
from ops.settings import Settings

DOCUMENTS = ("README.md", "docs/architecture.md", "docs/production.md")


def test_every_setting_is_in_the_table() -> None:
    text = (ROOT / "docs/production.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(PLI_\w+)`", text, re.MULTILINE))
    assert named == {f"PLI_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_names_is_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    rooms = "workflows|activities|schemas|signing|documents|archive|api|registry|gateways|sandbox|ops|docs"
    named = set(re.findall(rf"`((?:{rooms})/[\w./-]*)`", text))
    named |= {
        str((ROOT / document).parent.joinpath(link).resolve().relative_to(ROOT))
        for link in re.findall(r"\]\(([^):#]+)\)", text)
    }
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
