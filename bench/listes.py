"""List pages: over a million rows of one body beside the same pages over a thousand; filters that fill a page
in both, so that the same number of lines is drawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from sqlalchemy import event, text
from temporalio.client import Client

from api.app import create_app
from api.auth import cookie_name
from api.services import ApiSettings, Services
from archive.s3 import S3Store
from bench.load import sirens
from bench.table import Bar, Table
from ops.postgres import Place, ensure_database, running
from registry import accounts
from registry.door import Platform, Register
from registry.migrate import upgrade
from tests.s3 import start_s3

FEW, MANY = 1_000, 1_000_000
BODIES = 1
ROUNDS = 40
PAGES = {
    "sans filtre": "/envois",
    "état": "/envois?etat=scelle",
    "famille et nature": "/envois?famille=termine&nature=3",
    "texte rare": "/envois?q=passerelle",
    "texte fréquent": "/envois?q=tarifs",
    "période de dépôt": "/envois?depose_du=2026-03-01&depose_au=2026-03-31",
    "période d’AR et état": "/envois?ar_du=2026-03-01&ar_au=2026-03-14&etat=scelle",
    "API, famille": "/v1/actes?famille=termine&limite=50",
}

FILL = """
insert into enveloppe (id, collectivite_id, transaction, etat, famille, numero, numero_retenu, nature,
    date_decision, objet, texte_recherche, matiere, deposited_by, responsible_user_id, awaits, echeance,
    date_ar, created_at, updated_at)
select 'acte_' || overlay(overlay(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0')
           placing '-' from 9 for 0) placing '' from 1 for 0)
       || '-7' || lpad(to_hex(n %% 4096), 3, '0') || '-8000-' || lpad(to_hex(n), 12, '0'),
    (select id from collectivite order by siren offset n %% :bodies limit 1),
    '1-1',
    case when n %% 50 = 0 then 'anomalie' when n %% 97 = 0 then 'transmis' else 'scelle' end,
    case when n %% 50 = 0 then 'anomalie' when n %% 97 = 0 then 'en_cours' else 'termine' end,
    'N' || n, n %% 50 <> 0, (1 + n %% 6)::text, at::date,
    case when n %% (:rows / 10) = 3 then 'Réfection de la passerelle ' else 'Tarifs municipaux ' end || n,
    'n' || n || ' ' ||
    case when n %% (:rows / 10) = 3 then 'refection de la passerelle ' else 'tarifs municipaux ' end || n,
    '7.10', 'Logiciel', :person, 'personne',
    case when n %% 50 <> 0 and n %% 97 = 0 then now() end,
    at::date + 1, at, at
from (select n, timestamptz '2026-01-01' + (n * (interval '300 days' / :rows)) as at
      from generate_series(1, :rows) n) rows
"""


def run() -> Table:
    """Fill two registers, ask both in turn."""
    with TemporaryDirectory(prefix="pli-bench-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder) / "postgres", durable=False) as server, start_s3(Path(folder) / "s3") as s3:
            store = S3Store(s3.endpoint, "pli", s3.access_key, s3.secret_key, secure=False)
            few, many = (_filled(server.place, name, rows) for name, rows in (("few", FEW), ("many", MANY)))
            return asyncio.run(_compare(few, many, store))


def _filled(place: Place, name: str, rows: int) -> tuple[Register, str]:
    """A register of `rows` acts over the bodies, and the cookie of a person of the first."""
    ensure_database(place, name)
    upgrade(place.url(name))
    register = Register(place.url(name))
    now = datetime.now(UTC)
    with register.session(Platform("bench")) as session:
        bodies = [
            accounts.add_collectivite(
                session, now, siren=siren, nom=f"Commune {siren}", departement="999",
                arrondissement="1", nature="31", email="mairie@commune.test",
            )
            for siren in sirens(BODIES)
        ]  # fmt: skip
        person = accounts.add_user(
            session, now, email="a@example.fr", nom="A", password="correct horse battery"
        )
        accounts.grant(session, person, "agent", bodies[0])
        cookie = accounts.open_web_session(session, person, now).cookie
    with register.engine.begin() as connection:
        connection.execute(text(FILL.replace("%%", "%")), {"bodies": BODIES, "rows": rows, "person": person})
    with register.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
    return register, cookie


async def _compare(few: tuple[Register, str], many: tuple[Register, str], store: S3Store) -> Table:
    temporal = await Client.connect("127.0.0.1:1", lazy=True)
    settings = ApiSettings(public_url="http://pli.test", secure_cookies=False)
    doors = []
    for register, cookie in (few, many):
        app = create_app(Services(register, store, temporal, settings))
        doors.append(
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app),
                base_url="http://pli.test",
                cookies={cookie_name(settings): cookie},
            )
        )
    rows, bars = [], []
    for label, path in PAGES.items():
        with _plans(many[0]) as scans:
            await _ask(doors[1], path)
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for door, kept in zip(doors, times, strict=True):
                kept.append(await _ask(door, path))
        slow, fast = median(times[1]), median(times[0])
        rows.append(
            (
                label,
                f"{fast * 1000:.1f}",
                f"{slow * 1000:.1f}",
                f"{slow / fast:.2f}",
                ", ".join(scans) or "no",
            )
        )
        bars.append(Bar(f"listes/{label}", slow / fast, 1.2, at_least=False))
        bars.append(Bar(f"listes/{label}/parcours complets", len(scans), 0, at_least=False))
    return Table(
        f"List pages over {MANY:,} rows beside {FEW:,}",
        ("page", f"ms over {FEW:,}", f"ms over {MANY:,}", "ratio", "sequential scan"),
        rows,
        bars,
    )


async def _ask(door: httpx2.AsyncClient, path: str) -> float:
    began = time.perf_counter()
    answer = await door.get(path)
    elapsed = time.perf_counter() - began
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code}")
    return elapsed


@contextmanager
def _plans(register: Register) -> Iterator[list[str]]:
    """The large tables that the queries of the block scan from end to end."""
    asked: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.lstrip().lower().startswith("select"):
            asked.append((statement, parameters))

    event.listen(register.engine, "before_cursor_execute", note)
    scans: list[str] = []
    try:
        yield scans
    finally:
        event.remove(register.engine, "before_cursor_execute", note)
    raw = register.engine.raw_connection()
    cursor = raw.cursor()
    for statement, parameters in asked:
        cursor.execute("explain " + statement, parameters)
        scans += [line[0].strip() for line in cursor.fetchall() if "Seq Scan on enveloppe" in line[0]]
    raw.close()
