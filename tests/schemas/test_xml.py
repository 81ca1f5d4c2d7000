from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas import xml
from schemas.findings import Refused
from tests.samples import actes as samples


def refusal(data: bytes, **bounds: int) -> str:
    with pytest.raises(Refused) as refused:
        xml.parse(data, place="a.xml", **bounds)
    (finding,) = refused.value.findings
    assert finding.place == "a.xml"
    return finding.code


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>\n<!-- x --><?pi x?>\n<a>\xc3\xa9</a>",
        b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>",
        b"<?xml version='1.0' encoding='windows-1252'?><a>\x80</a>",
        b"<a><![CDATA[<!DOCTYPE html>]]></a>",
    ],
)
def test_plain_documents_are_parsed(data: bytes) -> None:
    assert xml.parse(data, place="a.xml").tag == "a"


@pytest.mark.parametrize(
    "data", [samples.xxe(), samples.entity_bomb(), b"<!DOCTYPE a><a/>", b"<!-- --><!DOCTYPE a><a/>"]
)
def test_every_doctype_is_refused_before_parsing(data: bytes) -> None:
    assert refusal(data) == "xml_doctype"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<?xml version='1.0' encoding='UTF-7'?>+ADw-!DOCTYPE a+AD4-", "xml_encodage"),
        ("<a/>".encode("utf-16"), "xml_encodage"),
        ("<a/>".encode("utf-32-be"), "xml_encodage"),
        (b"<?xml version='1.0' encoding='IBM037'?><a/>", "xml_encodage"),
        (b"", "xml_mal_forme"),
        (b"a", "xml_mal_forme"),
        (b"<a>", "xml_mal_forme"),
        (b"<a></b>", "xml_mal_forme"),
        (b"<a>&x;</a>", "xml_mal_forme"),
        (b"<a>\x00</a>", "xml_encodage"),
        (b"<abcd>\x00</abcd>", "xml_mal_forme"),
        (b"<?xml version='1.0'", "xml_mal_forme"),
        (b"<a/><b/>", "xml_mal_forme"),
        (b"<x:a/>", "xml_mal_forme"),
    ],
)
def test_broken_and_hidden_documents_are_refused(data: bytes, code: str) -> None:
    assert refusal(data) == code


def test_a_million_nested_elements_are_refused_at_the_hundred_and_first() -> None:
    assert refusal(samples.deep_xml(10**6), max_bytes=10**8) == "xml_trop_profond"
    assert xml.parse(samples.deep_xml(100), place="a.xml").tag == "a"
    assert refusal(samples.deep_xml(101)) == "xml_trop_profond"


def test_elements_and_attributes_are_counted() -> None:
    assert refusal(b"<a>" + b"<b c='' d=''/>" * 10 + b"</a>", max_nodes=30) == "xml_trop_de_noeuds"
    assert len(xml.parse(b"<a>" + b"<b c='' d=''/>" * 10 + b"</a>", place="a.xml", max_nodes=31)) == 10


def test_bytes_are_counted() -> None:
    data = b"<a>" + b" " * 93 + b"</a>"
    assert refusal(data, max_bytes=99) == "xml_trop_gros"
    assert xml.parse(data, place="a.xml", max_bytes=100).tag == "a"


def test_a_stream_is_not_read_past_its_bound() -> None:
    source = io.BytesIO(b"<a>" + b" " * 10**7 + b"</a>")
    with pytest.raises(Refused):
        xml.check(source, place="a.xml", max_bytes=10**6)
    assert source.tell() < 2 * 10**6


def test_a_malformed_document_names_its_line() -> None:
    with pytest.raises(Refused) as refused:
        xml.parse(b"<a>\n<b>\n</a>", place="a.xml")
    assert refused.value.findings[0].params == {"ligne": "3"}


@given(st.binary(max_size=400))
def test_random_bytes_give_an_element_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(Refused):
        assert etree.iselement(xml.parse(data, place="a.xml"))


@given(
    st.lists(
        st.sampled_from(
            [
                b"<",
                b">",
                b"/",
                b"a",
                b"=",
                b"'",
                b"&",
                b";",
                b"<?xml ",
                b"?>",
                b"<!--",
                b"-->",
                b"<!",
                b"[",
                b"]]>",
                b"<![CDATA[",
                b" ",
                b"\n",
                b"\xc3\xa9",
                b"\xff",
                b"xmlns:a",
                b"encoding='UTF-8'",
            ]
        ),
        max_size=40,
    )
)
def test_random_markup_gives_an_element_or_a_refusal(parts: list[bytes]) -> None:
    with contextlib.suppress(Refused):
        assert etree.iselement(xml.parse(b"".join(parts), place="a.xml"))
