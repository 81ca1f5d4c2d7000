"""What Temporal stores: unreadable without the key, and keys can be changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload

from ops.codec import BadKeys, EncryptingCodec, Unreadable, new_key_line, parse_keys

CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'{"objet":"Tarifs"}')


def keys(*names: str) -> dict[str, bytes]:
    return parse_keys("\n".join(new_key_line(name) for name in names))


@given(data=st.binary(max_size=2000), metadata=st.dictionaries(st.text(min_size=1), st.binary(), max_size=3))
async def test_every_payload_comes_back_whole(data: bytes, metadata: dict[str, bytes]) -> None:
    codec = EncryptingCodec(keys("a"))
    payload = Payload(metadata=metadata, data=data)
    assert await codec.decode(await codec.encode([payload])) == [payload]


async def test_nothing_of_the_content_is_left_readable() -> None:
    codec = EncryptingCodec(keys("a"))
    (first,) = await codec.encode([CLEAR])
    (second,) = await codec.encode([CLEAR])
    assert b"Tarifs" not in first.SerializeToString()
    assert b"json" not in first.SerializeToString()
    assert first.data != second.data


async def test_after_a_change_of_keys_old_payloads_can_still_be_read() -> None:
    both = keys("new", "old")
    (old,) = await EncryptingCodec({"old": both["old"]}).encode([CLEAR])
    codec = EncryptingCodec(both)
    assert await codec.decode([old]) == [CLEAR]
    (fresh,) = await codec.encode([CLEAR])
    assert fresh.metadata["key-id"] == b"new"


async def test_a_payload_of_another_key_names_the_key() -> None:
    (payload,) = await EncryptingCodec(keys("theirs")).encode([CLEAR])
    with pytest.raises(Unreadable, match="theirs"):
        await EncryptingCodec(keys("ours")).decode([payload])


@given(place=st.integers(min_value=0), change=st.integers(min_value=1, max_value=255))
async def test_a_payload_altered_at_any_place_is_refused(place: int, change: int) -> None:
    codec = EncryptingCodec(keys("a"))
    (payload,) = await codec.encode([CLEAR])
    altered = bytearray(payload.data)
    altered[place % len(altered)] ^= change
    with pytest.raises(Unreadable):
        await codec.decode([Payload(metadata=dict(payload.metadata), data=bytes(altered))])


async def test_what_another_wrote_in_clear_passes() -> None:
    assert await EncryptingCodec(keys("a")).decode([CLEAR]) == [CLEAR]


@pytest.mark.parametrize(
    "text",
    ["", "# only a comment", "a:not base64!", "a:YWJj", ":" + new_key_line("x")[2:], "a"],
    ids=range(6),
)
def test_a_key_file_that_can_not_serve_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(BadKeys) as refusal:
        parse_keys(text)
    assert "YWJj" not in str(refusal.value)


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(BadKeys, match="twice"):
        parse_keys(f"{new_key_line('a')}\n{new_key_line('a')}")
