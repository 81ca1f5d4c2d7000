"""Rules of the house that no linter knows (`python -m ops.house`, part of `make check`).

1. Every sentence of a catalogue is there in French and in English, with the same placeholders.
2. SQL in words (`text`, `exec_driver_sql`, psycopg) stays in `registry/`; `NO_ROWS` apart.
3. Engines and sessions are made in `registry/` only: everything else comes through its door, scoped.
"""

from __future__ import annotations

import ast
import string
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "workflows",
    "activities",
    "schemas",
    "signing",
    "documents",
    "archive",
    "api",
    "registry",
    "gateways",
    "sandbox",
    "ops",
)
HOME_OF_SQL = "registry"
NO_ROWS = frozenset({Path("ops/postgres.py"), Path("api/live.py")})
"""Modules that speak to the server without reading a row: one makes databases, one waits for NOTIFY."""
SQL_IN_WORDS = frozenset({"sqlalchemy.text", "sqlalchemy.sql.text", "psycopg"})
MAKERS_OF_SESSIONS = frozenset(
    {"sqlalchemy.create_engine", "sqlalchemy.orm.sessionmaker", "sqlalchemy.orm.Session()"}
)


def check_catalogue(place: str, entries: Mapping[str, object]) -> Iterator[str]:
    """Rule 1 on one parsed catalogue; tables without any `fr` or `en` field are no messages."""
    for key, entry in entries.items():
        if not isinstance(entry, Mapping):
            continue
        fields = {name.removeprefix(lang) for name in entry for lang in ("fr", "en") if _is_of(name, lang)}
        for field in sorted(fields):
            french, english = entry.get(f"fr{field}"), entry.get(f"en{field}")
            if not isinstance(french, str) or not isinstance(english, str):
                missing = "en" if isinstance(french, str) else "fr"
                yield f"{place}: [{key}] lacks {missing}{field}"
            elif placeholders(french) != placeholders(english):
                yield f"{place}: [{key}] fr{field} and en{field} have different placeholders"


def placeholders(sentence: str) -> set[str]:
    """Names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def check_source(place: Path, source: str) -> Iterator[str]:
    """Rules 2 and 3 on one module."""
    if place.parts[0] == HOME_OF_SQL or place in NO_ROWS:
        return
    for line, used in _used(ast.parse(source)):
        if used in SQL_IN_WORDS:
            yield f"{place}:{line}: {used}: SQL in words belongs in registry/"
        if used in MAKERS_OF_SESSIONS:
            yield f"{place}:{line}: {used}: sessions come through registry/door.py"
        if used == ".exec_driver_sql":
            yield f"{place}:{line}: exec_driver_sql: SQL in words belongs in registry/"


def check_tree(root: Path) -> Iterator[str]:
    """All rules on the rooms under `root`."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.toml")):
            place = path.relative_to(root)
            yield from check_catalogue(str(place), tomllib.loads(path.read_text(encoding="utf-8")))
        for path in sorted((root / room).rglob("*.py")):
            yield from check_source(path.relative_to(root), path.read_text(encoding="utf-8"))


def main() -> int:
    """Say every broken rule; 1 where there is one."""
    broken = list(check_tree(ROOT))
    for line in broken:
        print(line)
    print("The house is in order." if not broken else f"{len(broken)} broken rules of the house.")
    return 1 if broken else 0


def _is_of(name: str, lang: str) -> bool:
    return name == lang or name.startswith(f"{lang}_")


def _used(tree: ast.AST) -> Iterable[tuple[int, str]]:
    """Imported names, `Session(…)` calls and uses of `exec_driver_sql`, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module.partition(".")[0]
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Session":
            yield node.lineno, "sqlalchemy.orm.Session()"
        elif isinstance(node, ast.Attribute) and node.attr == "exec_driver_sql":
            yield node.lineno, ".exec_driver_sql"


if __name__ == "__main__":
    sys.exit(main())
