"""What the processes say about themselves: one line an event, fields from a list, never content.

Only the fields of `ALLOWED` reach a log. A field that someone adds in haste (a file's name, an object, a
header) is dropped and named, so that nothing personal and no secret can slip in.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "process",
        "enveloppe", "collectivite", "transaction", "etat", "step", "attempt", "code", "outcome",
        "method", "route", "status", "request_id", "count", "bytes", "seconds", "port", "pid",
        "workflow_type", "activity_type", "workflow_id", "path", "kind", "correlation", "exception",
    }
)  # fmt: skip
"""`exception` and `kind` hold the name of an exception's class, never its text."""


def configure_logs(
    process: str, *, form: str = "json", level: str = "info", out: TextIO | None = None
) -> None:
    """Send our logs and those of the libraries through the list of allowed fields.

    Args:
        process: name of this process in each line (`api`, `worker`).
        form: `json` for machines, `console` for people.
        level: least severe level that is written.
        out: where to; None: standard error.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_the_exception,
        _name_process(process),
        keep_allowed,
    ]
    last: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "console":
        # Rich's own tracebacks show local variables: passwords, tokens, files.
        plain = structlog.dev.plain_traceback
        last = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=plain)
    handler = logging.StreamHandler(out or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            # A library's sentence without its values, which may hold anything.
            use_get_message=False,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Its access log holds addresses with their queries; `api` logs requests by route.
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def keep_allowed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop every field that is not on the list, and say which were dropped."""
    kept = {name: value for name, value in event.items() if name in ALLOWED or name.startswith("_")}
    if dropped := sorted(event.keys() - kept.keys()):
        kept["dropped"] = dropped
    return kept


def _name_the_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = type(error).__name__
    return event


def _name_process(process: str) -> Processor:
    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return name_process
