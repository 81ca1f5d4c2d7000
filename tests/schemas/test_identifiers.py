from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.findings import Refused
from schemas.identifiers import Courriel, Departement, Siren, Siret, luhn, new_id

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@given(st.binary(min_size=10, max_size=10), st.datetimes(datetime(1971, 1, 1), datetime(5000, 1, 1)))  # noqa: DTZ001
def test_an_identifier_is_a_prefix_and_a_uuid_of_version_7(entropy: bytes, at: datetime) -> None:
    prefix, _, rest = new_id("acte", at.replace(tzinfo=UTC), entropy).partition("_")
    assert prefix == "acte"
    assert uuid.UUID(rest).version == 7
    assert uuid.UUID(rest).variant == uuid.RFC_4122


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10), st.integers(1, 10**9))
def test_identifiers_sort_by_time(first: bytes, second: bytes, later: int) -> None:
    assert new_id("fic", NOW, first) < new_id("fic", NOW + timedelta(milliseconds=later), second)


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_another_chance_gives_another_identifier(first: bytes, second: bytes) -> None:
    # 74 of the 80 bits count.
    same = int.from_bytes(first, "big") % 2**74 == int.from_bytes(second, "big") % 2**74
    assert (new_id("fic", NOW, first) == new_id("fic", NOW, second)) == same


def test_an_identifier_needs_an_aware_instant_and_enough_chance() -> None:
    with pytest.raises(ValueError, match="aware"):
        new_id("fic", NOW.replace(tzinfo=None), bytes(10))
    with pytest.raises(ValueError, match="entropy"):
        new_id("fic", NOW, bytes(9))


@given(st.from_regex(r"[0-9]{8}", fullmatch=True))
def test_exactly_one_key_makes_a_siren(eight: str) -> None:
    assert sum(Siren.valid(f"{eight}{key}") for key in range(10)) == 1


@pytest.mark.parametrize(
    "text", ["", "21440015", "2144001522", "214400153", "21440015a", "٢١٤٤٠٠١٥٢", "214400152\n"]
)
def test_what_is_no_siren_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Siren(text, place="/siren")
    assert [(f.code, f.place) for f in refused.value.findings] == [("siren_invalide", "/siren")]


def test_a_siret_names_its_siren() -> None:
    assert Siret("73282932000074").siren == Siren("732829320")
    assert not Siret.valid("73282932000075")


def test_la_poste_has_its_own_key() -> None:
    assert Siret.valid("35600000000048")
    assert Siret.valid("35600000049837")
    assert not Siret.valid("35600000049838")


@pytest.mark.parametrize("code", ["001", "034", "095", "02A", "02B", "971", "999"])
def test_departements_of_the_norm(code: str) -> None:
    assert Departement(code) == code


@pytest.mark.parametrize("code", ["", "1", "34", "2A", "02a", "02C", "101", "|1A", "03A", "9|1"])
def test_the_schemas_slips_are_no_departements(code: str) -> None:
    assert not Departement.valid(code)


@pytest.mark.parametrize("address", ["a@b.fr", "retours_actes-1@tdt.pli.test", "A.B@C.INFO"])
def test_addresses_that_the_norm_takes(address: str) -> None:
    assert Courriel(address) == address


@pytest.mark.parametrize("address", ["", "a@b", "a+b@c.fr", "a@b.example", "a b@c.fr", "é@b.fr", "a@b.fr\n"])
def test_addresses_that_the_norm_does_not_take(address: str) -> None:
    assert not Courriel.valid(address)


def test_luhn_of_a_known_number() -> None:
    assert luhn("79927398713")
    assert not luhn("79927398710")
