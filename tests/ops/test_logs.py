"""Logs: fields from the list, and nothing else."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from ops.logs import configure_logs


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    out = io.StringIO()
    configure_logs("essai", out=out)
    yield out
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level
    logging.getLogger("uvicorn.access").disabled = False


def line(out: io.StringIO) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(out.getvalue())
    return read


def test_a_field_that_is_not_on_the_list_is_dropped_and_named(out: io.StringIO) -> None:
    structlog.get_logger("t").info("sent", enveloppe="acte_1", objet="Tarifs", token="pli_x")
    written = line(out)
    assert written["enveloppe"] == "acte_1"
    assert written["process"] == "essai"
    assert written["dropped"] == ["objet", "token"]
    assert "Tarifs" not in out.getvalue()


def test_an_exception_is_named_but_its_text_is_not_written(out: io.StringIO) -> None:
    try:
        int("mot de passe : sésame")
    except ValueError:
        structlog.get_logger("t").exception("failed")
    assert line(out)["exception"] == "ValueError"
    assert "sésame" not in out.getvalue()


def test_a_library_s_line_loses_its_values(out: io.StringIO) -> None:
    logging.getLogger("minio").warning("cannot reach %s", "http://key:secret@host")
    assert line(out)["event"] == "cannot reach %s"
    assert "secret" not in out.getvalue()


def test_a_library_s_exception_leaves_no_stack(out: io.StringIO) -> None:
    try:
        int("contenu")
    except ValueError:
        logging.getLogger("x").exception("boom")
    assert "contenu" not in out.getvalue()
    assert "Traceback" not in out.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_form_of_log_shows_local_variables(form: str, out: io.StringIO) -> None:
    configure_logs("essai", form=form, out=out)

    def fail() -> None:
        csrf_token = "jeton-secret"
        raise ValueError(csrf_token)

    try:
        fail()
    except ValueError:
        structlog.get_logger("t").exception("failed")
        logging.getLogger("a_library").exception("failed too")
    assert out.getvalue().count("ValueError") == 2
    assert "jeton-secret" not in out.getvalue()
