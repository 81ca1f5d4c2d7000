"""What Temporal stores is encrypted: AES-256-GCM over each payload, with a named key.

The key's name travels beside the ciphertext, so that keys can be changed: the first key of the file encrypts,
every key of the file decrypts. A new key is put first; an old one is removed once no open workflow and no
retained history needs it.

    CodecError
    ├── BadKeys         the key file can't serve; says which line
    └── Unreadable      a payload of another key, or altered
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

ENCODING = b"binary/pli-aes256gcm"
KEY_BYTES = 32
NONCE_BYTES = 12


class CodecError(Exception):
    """Root of the errors of the codec."""


class BadKeys(CodecError):
    """The key file can't serve."""


class Unreadable(CodecError):
    """A payload can't be decrypted: its key is not in the file, or it was altered."""


def new_key_line(name: str) -> str:
    """A fresh key as a line of the key file: `name:base64`."""
    return f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def parse_keys(text: str) -> dict[str, bytes]:
    """The keys of a key file, in its order; raises `BadKeys` without ever quoting a key."""
    keys: dict[str, bytes] = {}
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        name, _, encoded = line.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise BadKeys(f"line {number}: not base64") from None
        if not name or len(key) != KEY_BYTES:
            raise BadKeys(f"line {number}: wanted `name:base64 of {KEY_BYTES} bytes`")
        if name in keys:
            raise BadKeys(f"line {number}: the name {name} is there twice")
        keys[name] = key
    if not keys:
        raise BadKeys("no key")
    return keys


class EncryptingCodec(PayloadCodec):
    """Encrypts and decrypts payloads with `keys`; the first of them encrypts."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {name.encode(): AESGCM(key) for name, key in keys.items()}
        self._current = next(iter(self._ciphers))

    async def encode(self, payloads: Iterable[Payload]) -> list[Payload]:
        """Encrypt each payload whole, its own metadata included."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Iterable[Payload]) -> list[Payload]:
        """Decrypt what we encrypted and pass on the rest; raises `Unreadable`."""
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, payload.SerializeToString(), self._current)
        return Payload(metadata={"encoding": ENCODING, "key-id": self._current}, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        name = payload.metadata.get("key-id", b"")
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise Unreadable(f"no key named {name.decode(errors='replace')}")
        try:
            plain = cipher.decrypt(payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:], name)
        except InvalidTag:
            raise Unreadable("the payload was altered") from None
        return Payload.FromString(plain)
