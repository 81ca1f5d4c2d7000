"""The way to the engine: one client, whose payloads are encrypted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from temporalio.client import Client
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.service import TLSConfig

from ops.codec import EncryptingCodec, parse_keys
from ops.settings import Settings


def data_converter(settings: Settings) -> DataConverter:
    """How values become payloads: JSON, then encryption; messages of failures are encrypted too."""
    return dataclasses.replace(
        DataConverter.default,
        payload_codec=EncryptingCodec(parse_keys(settings.codec_keys.get_secret_value())),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


async def connect(settings: Settings) -> Client:
    """A client of the cluster that the settings name.

    Raises `RuntimeError` where it can't be reached, `ops.codec.BadKeys` where the keys can't serve.
    """
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(settings),
        tls=_tls(settings),
    )


def _tls(settings: Settings) -> TLSConfig | bool:
    if not settings.temporal_tls:
        return False
    return TLSConfig(
        server_root_ca_cert=_content(settings.temporal_tls_ca),
        client_cert=_content(settings.temporal_tls_certificate),
        client_private_key=_content(settings.temporal_tls_key),
    )


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None else None
