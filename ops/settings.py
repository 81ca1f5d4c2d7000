"""The platform's settings: from the environment, each secret also from a file.

Every setting is read from `PLI_<NAME>`; `PLI_<NAME>_FILE` names a file whose content is taken instead (for
secrets that a vault or systemd lays down as files). Nothing secret has a default. In production mode, which
is the default, whatever would make a promise hollow is refused, all at once and in plain words.

    SettingsRefused      what is missing or unsafe, one line each
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from cryptography import x509
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "PLI_"
MIB = 1024 * 1024
NORM_EMAIL = r"^[\w-]+(\.[\w-]+)*@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*\.[a-zA-Z]{2,6}$"
"""What the norm takes as a return address (ACTES v1.1, type Email): at its end no more than six letters."""
SANDBOX_UNIT = "bac a sable"
"""Organizational unit of every certificate that the local stack makes for itself."""


class SettingsRefused(Exception):
    """The settings can't serve; `lines` says why, for people."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(lines))


class Mode(StrEnum):
    """How strictly the settings are judged."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"
    """The local stack and the tests: no antivirus is needed, keys of its own making are taken."""


def _words(value: Any) -> Any:
    return frozenset(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


class Settings(BaseSettings):
    """Every setting, with what it is for. Durations in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    mode: Mode = Mode.PRODUCTION

    database_url: SecretStr = Field(
        description="PostgreSQL: postgresql+psycopg://user:password@host/database"
    )

    store_endpoint: str = Field(description="S3 server, host:port")
    store_bucket: str = Field("pli", description="its bucket, made at the first start where it is missing")
    store_access_key: SecretStr = Field(description="access key of the S3 server")
    store_secret_key: SecretStr = Field(description="secret key of the S3 server")
    store_secure: bool = Field(True, description="speak TLS with the S3 server")
    lock_days: int = Field(
        3653, description="days for which a sealed record is locked, where the store has Object Lock", gt=0
    )
    store_region: str | None = Field(None, description="region of the S3 server, where it has any")

    temporal_address: str = Field(description="frontend of the Temporal cluster, host:port")
    temporal_namespace: str = Field("default", description="namespace in the Temporal cluster")
    temporal_tls: bool = Field(False, description="speak TLS with Temporal")
    temporal_tls_ca: Path | None = Field(None, description="CA of Temporal's certificate (PEM)")
    temporal_tls_certificate: Path | None = Field(
        None, description="our client certificate for Temporal (PEM)"
    )
    temporal_tls_key: Path | None = Field(None, description="its key (PEM)")
    codec_keys: SecretStr = Field(
        description="keys of what Temporal stores: `name:base64 of 32 bytes` a line, the first encrypts"
    )

    ministry_url: str = Field(description="the ministry's receiving server, https://…")
    ministry_certificate: Path = Field(description="our client certificate for it (PEM)")
    ministry_key: Path = Field(description="its key (PEM)")
    ministry_ca: Path = Field(description="CA of the ministry's server (PEM)")
    trigramme: str = Field(
        description="the platform's trigram, given by the ministry", pattern="^[A-Za-z0-9]{3}$"
    )
    quadrigramme: str = Field(description="the application's quadrigram", pattern="^[A-Z0-9]{4}$")
    return_address: str = Field(
        description="e-mail address to which the ministry sends its returns", pattern=NORM_EMAIL
    )

    mailbox_host: str = Field(description="IMAP server of that address")
    mailbox_port: int = Field(993, description="its port")
    mailbox_user: str = Field(description="its user")
    mailbox_password: SecretStr = Field(description="its password")
    mailbox_tls: bool = Field(True, description="speak TLS with it")
    mailbox_ca: Path | None = Field(
        None, description="CA of its certificate (PEM), where it is not a public one"
    )
    mailbox_folder: str = Field("INBOX", description="folder that is collected")
    mailbox_done_folder: str = Field("Traites", description="folder where collected messages go")
    collect_every: float = Field(60, description="seconds between two looks into the mailbox", gt=0)

    antivirus: str | None = Field(None, description="clamd: unix:/path/of/its/socket or tcp:host:port")

    seal_key: SecretStr = Field(description="key that seals the records (PEM, RSA of 3072 bits or more)")
    seal_certificate: SecretStr = Field(description="its certificate (PEM)")

    public_url: str = Field(description="address under which people and software reach this platform")
    listen_host: str = Field("127.0.0.1", description="address on which `pli api` listens")
    listen_port: int = Field(8000, description="port on which `pli api` listens")
    trusted_proxies: Annotated[frozenset[str], NoDecode, BeforeValidator(_words)] = Field(
        frozenset(),
        description="addresses of proxies whose Client-Cert header is believed, with commas between",
    )
    client_ca: SecretStr | None = Field(None, description="CA of the client certificates of software (PEM)")
    deposit_limit: int = Field(150 * MIB, description="bytes of one deposit's files together", gt=0)
    spool: Path | None = Field(None, description="folder for uploads while they come in")

    delay_answer: float = Field(
        5 * 86400, description="silence after a sure departure before a person decides"
    )
    delay_uncertain: float = Field(
        86400, description="silence after a possible departure before a person decides"
    )
    delay_reminder: float = Field(86400, description="between two reminders to that person")
    delay_patience: float = Field(
        5 * 86400, description="how long a server out of reach is tried again before a person is told"
    )

    worker_slots: int = Field(16, description="activities that one worker runs at a time", gt=0)
    log_format: str = Field(
        "json", description="`json` for machines, `console` for people", pattern="^(json|console)$"
    )
    log_level: str = Field("info", description="least severe level that is logged")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library names it
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the files that it names."""
        return init_settings, env_settings, _NamedFiles(settings_cls)


class _NamedFiles(PydanticBaseSettingsSource):
    """`PLI_<NAME>_FILE`: the content of that file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        named = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if not named:
            return None, field_name, False
        try:
            return Path(named).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsRefused(
                [f"{PREFIX}{field_name.upper()}_FILE: {named} can't be read ({error})"]
            ) from error

    def __call__(self) -> dict[str, Any]:
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def load_settings() -> Settings:
    """The settings of this process, judged; raises `SettingsRefused` with everything that is wrong."""
    nothing_given: dict[str, Any] = {}
    try:
        settings = Settings(**nothing_given)
    except ValidationError as error:
        raise SettingsRefused(
            [_sentence(problem) for problem in error.errors(include_input=False)]
        ) from error
    if settings.mode is Mode.PRODUCTION and (lines := unsafe_for_production(settings)):
        raise SettingsRefused(lines)
    return settings


def unsafe_for_production(settings: Settings) -> list[str]:
    """What would make a promise hollow in production, one line each."""
    judged = [
        (settings.antivirus is None, "PLI_ANTIVIRUS: production needs an antivirus (clamd)"),
        (
            not settings.public_url.startswith("https://"),
            "PLI_PUBLIC_URL: production is reached by https:// only",
        ),
        (not settings.ministry_url.startswith("https://"), "PLI_MINISTRY_URL: must begin with https://"),
        (not settings.store_secure, "PLI_STORE_SECURE: production speaks TLS with its S3 server"),
        (not settings.mailbox_tls, "PLI_MAILBOX_TLS: production speaks TLS with its mailbox"),
        (not settings.temporal_tls, "PLI_TEMPORAL_TLS: production speaks TLS with Temporal"),
        (
            _is_of_the_sandbox(settings.seal_certificate.get_secret_value()),
            "PLI_SEAL_CERTIFICATE: this seal was made by the local stack for itself and proves nothing",
        ),
    ]
    return [line for wrong, line in judged if wrong]


def _is_of_the_sandbox(certificate_pem: str) -> bool:
    try:
        subject = x509.load_pem_x509_certificate(certificate_pem.encode()).subject
    except ValueError:
        return False
    units = subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    return any(unit.value == SANDBOX_UNIT for unit in units)


def _sentence(problem: Any) -> str:
    name = str(problem["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    what = Settings.model_fields[name].description or ""
    if problem["type"] == "missing":
        return f"{variable} (or {variable}_FILE) is missing: {what}"
    return f"{variable}: {problem['msg']} ({what})"
