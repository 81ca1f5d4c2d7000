from __future__ import annotations

import tempfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import BadForm
from sandbox.form import ArchiveForm

NAME = "PLI-TACT--214400152--20261123-1.tar.gz"
TYPE = "multipart/form-data; boundary=limite"


def part(disposition: str, content: bytes) -> bytes:
    return (
        b"--limite\r\nContent-Disposition: form-data; "
        + disposition.encode()
        + b"\r\n\r\n"
        + content
        + b"\r\n"
    )


def read(body: bytes, cuts: list[int]) -> tuple[str, bytes]:
    form = ArchiveForm(TYPE, tempfile.gettempdir())
    try:
        start = 0
        for end in [*sorted(cut % (len(body) + 1) for cut in cuts), len(body)]:
            form.feed(body[start:end])
            start = end
        return form.finish(), form.archive.read()
    finally:
        form.close()


@given(content=st.binary(max_size=3000), cuts=st.lists(st.integers(min_value=0), max_size=20))
def test_the_archive_comes_out_as_it_went_in_however_it_is_cut(content: bytes, cuts: list[int]) -> None:
    if b"\r\n--limite" in content:
        return
    body = part(f'name="{NAME}"; filename="{NAME}"', content) + b"--limite--\r\n"
    assert read(body, cuts) == (NAME, content)


def test_the_form_of_the_other_known_sender_is_taken_too() -> None:
    body = (
        part('name="name"', NAME.encode())
        + part('name="filename"', NAME.encode())
        + part(f'name="file"; filename="{NAME}"', b"archive")
        + b"--limite--\r\n"
    )
    assert read(body, []) == (NAME, b"archive")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--limite--\r\n",
        part(f'name="{NAME}"; filename="{NAME}"', b"archive"),
        part('name="x"; filename="../x.tar.gz"', b"archive") + b"--limite--\r\n",
        part(f'name="a"; filename="{NAME}"', b"1")
        + part(f'name="b"; filename="{NAME}"', b"2")
        + b"--limite--",
        b"no multipart at all",
    ],
)
def test_what_holds_no_single_whole_archive_is_refused(body: bytes) -> None:
    with pytest.raises(BadForm):
        read(body, [])


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data"])
def test_another_content_type_is_refused(kind: str) -> None:
    with pytest.raises(BadForm):
        ArchiveForm(kind, tempfile.gettempdir())


@given(body=st.binary(max_size=500))
def test_any_bytes_give_an_archive_or_a_refusal(body: bytes) -> None:
    with suppress(BadForm):
        read(b"--limite" + body, [])
