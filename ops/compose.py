"""The one place where settings become servers' clients: what `api` and the worker are given."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client

from activities.common import ActesSettings
from api.services import ApiSettings, Services
from archive.s3 import S3Store
from gateways.antivirus import ClamdScanner, NoScanner, Scanner
from gateways.mailbox import Mailbox
from gateways.ministry import MinistryWire
from ops import temporal
from ops.settings import Mode, Settings
from registry.door import Register
from signing.seal import SealKey
from workflows.names import Delays


def register(settings: Settings, pool_size: int = 10) -> Register:
    """The register, with a pool of `pool_size` connections kept open."""
    return Register(settings.database_url.get_secret_value(), pool_size=pool_size)


def store(settings: Settings) -> S3Store:
    """The object store; its bucket is made where it is missing."""
    return S3Store(
        settings.store_endpoint,
        settings.store_bucket,
        settings.store_access_key.get_secret_value(),
        settings.store_secret_key.get_secret_value(),
        secure=settings.store_secure,
        region=settings.store_region,
    )


def ministry(settings: Settings) -> MinistryWire:
    """The wire to the ministry's server."""
    return MinistryWire(
        settings.ministry_url,
        certificate=settings.ministry_certificate,
        key=settings.ministry_key,
        ca=settings.ministry_ca,
    )


def mailbox(settings: Settings) -> Mailbox:
    """The mailbox to which the ministry answers."""
    return Mailbox(
        settings.mailbox_host,
        settings.mailbox_port,
        settings.mailbox_user,
        settings.mailbox_password.get_secret_value(),
        tls=settings.mailbox_tls,
        ca=settings.mailbox_ca,
        folder=settings.mailbox_folder,
        done_folder=settings.mailbox_done_folder,
    )


def scanner(settings: Settings) -> Scanner:
    """The antivirus, or the one that says that nothing was scanned."""
    return ClamdScanner(settings.antivirus) if settings.antivirus else NoScanner()


def seal_key(settings: Settings) -> SealKey:
    """The key that seals the records."""
    return SealKey.load(
        settings.seal_key.get_secret_value().encode(), settings.seal_certificate.get_secret_value().encode()
    )


def delays(settings: Settings) -> Delays:
    """The dates that the procedure waits for."""
    return Delays(
        answer=settings.delay_answer,
        uncertain=settings.delay_uncertain,
        reminder=settings.delay_reminder,
        patience=settings.delay_patience,
    )


def actes_settings(settings: Settings) -> ActesSettings:
    """What the activities of the ACTES flow need to know of the platform."""
    return ActesSettings(
        trigramme=settings.trigramme,
        quadrigramme=settings.quadrigramme,
        return_address=settings.return_address,
        answer=timedelta(seconds=settings.delay_answer),
        uncertain=timedelta(seconds=settings.delay_uncertain),
    )


def api_settings(settings: Settings) -> ApiSettings:
    """What the doors need to know of the platform."""
    client_ca = settings.client_ca.get_secret_value().encode() if settings.client_ca else None
    return ApiSettings(
        public_url=settings.public_url,
        deposit_limit=settings.deposit_limit,
        spool=settings.spool,
        trusted_proxies=settings.trusted_proxies,
        client_ca_pem=client_ca,
        secure_cookies=settings.public_url.startswith("https://"),
        delays=delays(settings),
        sandbox=settings.mode is Mode.SANDBOX,
    )


async def services(settings: Settings) -> Services:
    """All that the doors use; needs Temporal, PostgreSQL and the store to answer."""
    client: Client = await temporal.connect(settings)
    return Services(
        register=register(settings), store=store(settings), temporal=client, settings=api_settings(settings)
    )
