from __future__ import annotations

import contextlib
import gzip
import io
import random
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.findings import Refused, SizeMismatch
from schemas.tar import ArchiveLimits, Member, flat_name, read_archive, write_archive
from tests.samples import actes as samples

NAMES = st.lists(
    st.text(
        st.characters(codec="ascii", categories=["L", "N"], include_characters="_-."), min_size=1, max_size=60
    ).filter(flat_name),
    max_size=6,
    unique_by=str.casefold,
)


def packed(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    write_archive(out, ((name, len(data), io.BytesIO(data)) for name, data in members))
    return out.getvalue()


def unpacked(data: bytes, limits: ArchiveLimits | None = None) -> list[tuple[str, bytes]]:
    archive = read_archive(io.BytesIO(data), place="a.tar.gz", limits=limits or ArchiveLimits())
    return [(member.name, stream.read()) for member, stream in archive]


def refusal(data: bytes, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(Refused) as refused:
        unpacked(data, limits)
    (finding,) = refused.value.findings
    assert finding.place == "a.tar.gz"
    return finding.code


@given(NAMES, st.data())
def test_what_is_written_is_read(names: list[str], data: st.DataObject) -> None:
    members = [(name, data.draw(st.binary(max_size=1500))) for name in names]
    assert unpacked(packed(*members)) == members


@given(NAMES)
def test_other_tools_read_what_is_written(names: list[str]) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(*((name, b"x") for name in names)))) as archive:
        assert archive.getnames() == names


def test_the_same_members_give_the_same_bytes_without_date_or_owner() -> None:
    assert packed(("a.pdf", b"x")) == packed(("a.pdf", b"x"))
    with tarfile.open(fileobj=io.BytesIO(packed(("a.pdf", b"x")))) as archive:
        info = archive.getmember("a.pdf")
    assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
    assert packed()[4:8] == bytes(4)


@pytest.mark.parametrize("announced", [4, 6])
def test_a_member_of_another_size_than_announced_is_no_archive(announced: int) -> None:
    with pytest.raises(SizeMismatch):
        write_archive(io.BytesIO(), [("a.pdf", announced, io.BytesIO(b"12345"))])


def test_archives_of_gnu_tar_and_of_python_are_read() -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", format=form) as archive:
            info = tarfile.TarInfo("a.pdf")
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
        assert unpacked(out.getvalue()) == [("a.pdf", b"abc")]


@pytest.mark.parametrize("part", [1, 3])
def test_unread_members_are_skipped(part: int) -> None:
    archive = read_archive(io.BytesIO(packed(("a", b"12345"), ("b", b"67890"))), place="a.tar.gz")
    assert [(member, stream.read(part)) for member, stream in archive] == [
        (Member("a", 5), b"12345"[:part]),
        (Member("b", 5), b"67890"[:part]),
    ]


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_only_plain_files_are_members(kind: bytes) -> None:
    assert refusal(samples.tar_link(kind=kind)) == "archive_membre_interdit"


def test_extended_headers_are_refused_whatever_they_say() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a.pdf")
        info.pax_headers = {"path": "/etc/passwd"}
        archive.addfile(info)
    assert refusal(out.getvalue()) in {"archive_membre_interdit", "archive_nom_interdit"}


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../a",
        "a/b",
        "a\\b",
        "..",
        ".",
        "C:a",
        "a\nb",
        "a\x1b[2J",
        "a\u202eb",
        " a",
        "a ",
        "x" * 101,
        "d" * 60 + "/" + "x" * 60,
    ],
)
def test_names_that_are_more_than_a_name_are_refused(name: str) -> None:
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT if len(name) == 101 else tarfile.USTAR_FORMAT
    ) as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert refusal(out.getvalue()) in {"archive_nom_interdit", "archive_membre_interdit"}


def test_a_refused_name_is_shown_without_its_control_characters() -> None:
    with pytest.raises(Refused) as refused:
        unpacked(samples.tar_named("a\x1b[2Jb"))
    assert refused.value.findings[0].params["nom"] == "a\ufffd[2Jb"


def test_names_differ_in_more_than_case() -> None:
    assert refusal(samples.tar_named("a.pdf", "A.PDF")) == "archive_nom_double"


def test_bombs_are_refused_early() -> None:
    assert refusal(samples.gzip_bomb(64)) == "archive_bombe"
    assert refusal(samples.tar_bomb(1200)) == "archive_trop_de_membres"


def test_compressed_bytes_and_content_are_limited() -> None:
    noise = packed(("a", random.Random(1).randbytes(300_000)))
    assert refusal(noise, ArchiveLimits(max_compressed=200_000)) == "taille_depassee"
    assert refusal(noise, ArchiveLimits(max_content=299_999)) == "taille_depassee"
    assert len(unpacked(noise, ArchiveLimits(max_content=300_000))) == 1


def test_an_announced_size_is_believed_by_nobody() -> None:
    def lie(info: tarfile.TarInfo) -> None:
        info.size = 8**11 - 1

    assert refusal(samples.tar_with(lie)) == "taille_depassee"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not gzip",
        gzip.compress(b""),
        gzip.compress(b"x" * 512),
        gzip.compress(bytes(1024) + b"hidden"),
        packed(("a", b"x")) + b"behind",
        packed(("a", b"x")) + packed(("b", b"y")),
        packed(("a", b"x" * 5000))[:-9],
    ],
    ids=["empty", "noise", "no tar", "bad header", "behind the end", "trailing", "two members", "cut"],
)
def test_what_is_no_whole_archive_is_refused(data: bytes) -> None:
    assert refusal(data) == "archive_illisible"


@given(st.binary(max_size=2000), st.booleans())
def test_random_bytes_give_members_or_a_refusal(data: bytes, compress: bool) -> None:
    with contextlib.suppress(Refused):
        unpacked(gzip.compress(data) if compress else data)


@given(st.integers(0, 1100), st.integers(0, 255))
def test_a_changed_byte_gives_members_or_a_refusal(at: int, value: int) -> None:
    plain = bytearray(gzip.decompress(packed(("a.pdf", b"x" * 600))))
    plain[at] = value
    with contextlib.suppress(Refused):
        unpacked(gzip.compress(bytes(plain)))
