"""Settings: read from the environment or from files, refused all at once where they can't serve."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.codec import new_key_line
from ops.settings import Settings, SettingsRefused, load_settings
from signing.seal import make_sandbox_seal

KEY, CERTIFICATE = make_sandbox_seal("essai", datetime(2026, 11, 23, tzinfo=UTC))
ENOUGH = {
    "PLI_MODE": "sandbox",
    "PLI_DATABASE_URL": "postgresql+psycopg://u:secret-of-the-database@h/d",
    "PLI_STORE_ENDPOINT": "127.0.0.1:1",
    "PLI_STORE_ACCESS_KEY": "a",
    "PLI_STORE_SECRET_KEY": "b",
    "PLI_TEMPORAL_ADDRESS": "127.0.0.1:2",
    "PLI_CODEC_KEYS": new_key_line("a"),
    "PLI_MINISTRY_URL": "https://127.0.0.1:3/",
    "PLI_MINISTRY_CERTIFICATE": "client.pem",
    "PLI_MINISTRY_KEY": "client.key",
    "PLI_MINISTRY_CA": "ca.pem",
    "PLI_TRIGRAMME": "PLI",
    "PLI_QUADRIGRAMME": "TACT",
    "PLI_RETURN_ADDRESS": "retours@pli.test",
    "PLI_MAILBOX_HOST": "127.0.0.1",
    "PLI_MAILBOX_USER": "pli",
    "PLI_MAILBOX_PASSWORD": "c",
    "PLI_SEAL_KEY": KEY.decode(),
    "PLI_SEAL_CERTIFICATE": CERTIFICATE.decode(),
    "PLI_PUBLIC_URL": "http://127.0.0.1:4",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENOUGH.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_sandbox_is_content_with_the_least(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.antivirus is None
    assert settings.trusted_proxies == frozenset()


def test_production_is_the_default_and_names_everything_that_is_unsafe(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("PLI_MODE")
    environment.setenv("PLI_STORE_SECURE", "false")
    environment.setenv("PLI_MAILBOX_TLS", "false")
    with pytest.raises(SettingsRefused) as refusal:
        load_settings()
    named = {line.split(":")[0] for line in refusal.value.lines}
    assert named == {
        "PLI_ANTIVIRUS", "PLI_PUBLIC_URL", "PLI_STORE_SECURE", "PLI_MAILBOX_TLS", "PLI_TEMPORAL_TLS",
        "PLI_SEAL_CERTIFICATE",
    }  # fmt: skip


def test_everything_that_is_missing_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("PLI_DATABASE_URL")
    environment.delenv("PLI_SEAL_KEY")
    with pytest.raises(SettingsRefused) as refusal:
        load_settings()
    assert [line.split(" ")[0] for line in refusal.value.lines] == ["PLI_DATABASE_URL", "PLI_SEAL_KEY"]


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)]
)
def test_no_secret_has_a_default(name: str) -> None:
    assert Settings.model_fields[name].is_required() or Settings.model_fields[name].default is None


def test_a_secret_is_read_from_the_file_that_the_environment_names(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text("postgresql+psycopg://file\n")
    environment.delenv("PLI_DATABASE_URL")
    environment.setenv("PLI_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert load_settings().database_url.get_secret_value() == "postgresql+psycopg://file"


def test_a_file_that_can_not_be_read_is_named(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("PLI_SEAL_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(SettingsRefused, match="PLI_SEAL_KEY_FILE"):
        load_settings()


def test_a_value_that_is_refused_is_not_quoted(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PLI_TRIGRAMME", "trop-long-et-prive")
    with pytest.raises(SettingsRefused) as refusal:
        load_settings()
    assert "PLI_TRIGRAMME" in str(refusal.value)
    assert "trop-long-et-prive" not in str(refusal.value)


def test_no_secret_shows_when_settings_are_printed(environment: pytest.MonkeyPatch) -> None:
    assert "secret-of-the-database" not in repr(load_settings())


def test_trusted_proxies_are_addresses_with_commas_between(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PLI_TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2,")
    assert load_settings().trusted_proxies == {"10.0.0.1", "10.0.0.2"}
