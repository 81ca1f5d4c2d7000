"""The store on a real S3 server (rclone), and the probe of Object Lock on servers that keep or break it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
import urllib3
from minio.error import S3Error
from minio.retention import Retention

from archive.s3 import PART, PROBE_KEY, S3Store
from archive.store import ObjectAltered, ObjectMissing, Ref, StoreError, StoreUnavailable
from tests.s3 import RunningS3, start_s3

UNTIL = "2027-01-01T00:00:00+00:00"


def _store(s3: RunningS3, bucket: str = "pli-essais") -> S3Store:
    return S3Store(s3.endpoint, bucket, s3.access_key, s3.secret_key, secure=False)


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 999], ids=["empty", "one", "255 KB"])
def test_what_is_put_is_read_with_its_hashes(store: S3Store, data: bytes) -> None:
    ref = store.put_bytes(f"essai/{len(data)}", data)
    assert ref == Ref(
        "pli-essais", f"essai/{len(data)}",
        hashlib.sha256(data).hexdigest(), hashlib.sha512(data).hexdigest(), len(data),
    )  # fmt: skip
    assert store.read(ref, limit=len(data)) == data


def test_a_file_of_several_parts_comes_back_whole(store: S3Store, tmp_path: Path) -> None:
    path = tmp_path / "gros"
    data = bytes(range(251)) * (2 * PART // 251 + 9)
    path.write_bytes(data)
    ref = store.put_file("essai/gros", path)
    assert (ref.size, ref.sha512) == (len(data), hashlib.sha512(data).hexdigest())
    into = io.BytesIO()
    store.fetch(ref, into)
    assert into.getvalue() == data


def test_a_range_is_exactly_what_was_asked(store: S3Store) -> None:
    data = bytes(range(200))
    ref = store.put_bytes("essai/plage", data)
    for offset, length, wanted in [
        (0, 0, data), (0, 10, data[:10]), (50, 20, data[50:70]),
        (190, 0, data[190:]), (190, 99, data[190:]), (200, 5, b""), (999, 0, b""),
    ]:  # fmt: skip
        with store.open(ref, offset, length) as chunks:
            assert b"".join(chunks) == wanted


def test_leaving_a_reading_early_harms_nothing(store: S3Store) -> None:
    ref = store.put_bytes("essai/tot", bytes(3 * 1024 * 1024))
    for _ in range(3):
        with store.open(ref) as chunks:
            assert len(next(iter(chunks))) <= 1024 * 1024
    assert store.read(ref, ref.size) == bytes(ref.size)


def test_keys_with_accents_and_blanks_are_found_under_their_prefix(store: S3Store) -> None:
    names = {f"liste/{name}" for name in ("a", "b/c", "délibération n° 1.pdf", "100 %+&=.xml")}
    for name in names:
        store.put_bytes(name, b"")
    store.put_bytes("listes", b"")
    assert set(store.keys("liste/")) == names
    assert list(store.keys("rien/")) == []


def test_what_was_altered_is_not_given(store: S3Store) -> None:
    ref = store.put_bytes("essai/altere", b"abc")
    for other in (b"abd", b"ab", b"abcd", b""):
        store.put_bytes("essai/altere", other)
        with pytest.raises(ObjectAltered):
            store.read(ref, limit=10)


def test_a_reference_larger_than_the_limit_is_not_read(store: S3Store) -> None:
    ref = store.put_bytes("essai/limite", b"abc")
    with pytest.raises(ObjectAltered):
        store.read(ref, limit=2)


def test_nothing_there_is_said_with_its_key(store: S3Store) -> None:
    ref = replace(store.put_bytes("essai/a", b"a"), key="essai/absent")
    with pytest.raises(ObjectMissing, match="essai/absent"):
        store.read(ref, limit=10)


def test_deleting_twice_is_no_error(store: S3Store) -> None:
    ref = store.put_bytes("essai/efface", b"a")
    store.delete(ref.key)
    store.delete(ref.key)
    with pytest.raises(ObjectMissing):
        store.read(ref, limit=10)


def test_a_second_store_opens_the_same_bucket(s3: RunningS3, store: S3Store) -> None:
    ref = store.put_bytes("essai/deux", b"a")
    assert _store(s3).read(ref, limit=1) == b"a"


def test_a_wrong_secret_is_refused_and_not_taken_for_an_outage(s3: RunningS3) -> None:
    with pytest.raises(StoreError) as refused:
        S3Store(s3.endpoint, "pli-essais", s3.access_key, "faux", secure=False)
    assert not isinstance(refused.value, StoreUnavailable)
    assert "faux" not in str(refused.value)


def test_objects_survive_the_server_and_its_absence_is_said(tmp_path: Path) -> None:
    with start_s3(tmp_path / "s3") as first:
        store = _store(first)
        ref = store.put_bytes("essai/dure", b"abc")
        first.process.kill()
        first.process.wait()
        with pytest.raises(StoreUnavailable):
            store.put_bytes("essai/apres", b"abc")
        with pytest.raises(StoreUnavailable):
            store.read(ref, limit=3)
        port = int(first.endpoint.split(":")[1])
        with start_s3(tmp_path / "s3", port):
            assert store.read(ref, limit=3) == b"abc"
    with pytest.raises(StoreUnavailable):
        _store(first)


def test_rclone_is_honestly_said_to_have_no_lock(store: S3Store) -> None:
    assert store.object_lock() is False
    ref = store.put_bytes("essai/sans-verrou", b"a")
    store.lock(ref, UNTIL)
    store.delete(ref.key)
    assert list(store.keys(PROBE_KEY)) == []


def test_a_retention_without_zone_is_refused(store: S3Store) -> None:
    with pytest.raises(ValueError):
        store.lock(store.put_bytes("essai/zone", b"a"), "2027-01-01T00:00:00")


@dataclass
class Versions:
    """A client of a server with versions, in memory; `keeps_locks` says whether a lock holds."""

    keeps_locks: bool = True
    knows_retention: bool = True
    failing: str = ""
    objects: dict[tuple[str, str], Retention | None] = field(default_factory=dict)
    made_with_lock: bool = False
    probes: int = 0

    def bucket_exists(self, bucket: str) -> bool:
        return False

    def make_bucket(self, bucket: str, object_lock: bool = False) -> None:
        if object_lock and not self.knows_retention:
            raise _refusal("NotImplemented")
        self.made_with_lock = object_lock

    def put_object(self, bucket: str, key: str, data: BinaryIO, length: int, **_: Any) -> SimpleNamespace:
        data.read()
        self.probes += key == PROBE_KEY
        version = f"v{len(self.objects)}"
        self.objects[key, version] = None
        return SimpleNamespace(version_id=version)

    def set_object_retention(
        self, bucket: str, key: str, retention: Retention, version_id: str | None = None
    ) -> None:
        if self.failing:
            raise _refusal(self.failing)
        if not self.knows_retention:
            raise _refusal("InvalidRequest")
        versions = [v for k, v in self.objects if k == key]
        self.objects[key, version_id or versions[-1]] = retention

    def remove_object(self, bucket: str, key: str, version_id: str | None = None) -> None:
        held = self.objects.get((key, version_id or ""))
        if held is not None and self.keeps_locks and held.retain_until_date > datetime.now(UTC):
            raise _refusal("AccessDenied")
        self.objects.pop((key, version_id or ""), None)

    def stat_object(self, bucket: str, key: str, version_id: str) -> None:
        if (key, version_id) not in self.objects:
            raise _refusal("NoSuchVersion")

    def list_objects(self, bucket: str, prefix: str, include_version: bool) -> Iterator[SimpleNamespace]:
        for key, version in list(self.objects):
            if key.startswith(prefix):
                yield SimpleNamespace(object_name=key, version_id=version)


def _refusal(code: str) -> S3Error:
    response = urllib3.HTTPResponse()
    return S3Error(response, code, code, "", "", "")


def _on(client: Versions) -> S3Store:
    return S3Store("nulle-part:1", "coffre", "a", "b", secure=False, client=client)


def test_a_lock_that_holds_is_believed_and_tried_once() -> None:
    client = Versions()
    store = _on(client)
    assert client.made_with_lock
    assert store.object_lock()
    assert store.object_lock()
    assert client.probes == 1


def test_a_lock_that_is_accepted_and_ignored_is_not_believed() -> None:
    client = Versions(keeps_locks=False)
    assert _on(client).object_lock() is False
    assert client.objects == {}


def test_versions_without_lock_are_no_lock() -> None:
    client = Versions(knows_retention=False)
    store = _on(client)
    assert not client.made_with_lock
    assert store.object_lock() is False
    assert client.objects == {}


def test_a_failing_server_is_no_answer_to_the_probe() -> None:
    client = Versions(failing="SlowDown")
    store = _on(client)
    with pytest.raises(StoreUnavailable):
        store.object_lock()
    client.failing = ""
    assert store.object_lock()


def test_an_earlier_probe_is_cleared_once_its_lock_ended() -> None:
    client = Versions()
    client.objects = {
        (PROBE_KEY, "ancien"): Retention("COMPLIANCE", datetime.now(UTC) - timedelta(days=1)),
        (PROBE_KEY, "recent"): Retention("COMPLIANCE", datetime.now(UTC) + timedelta(days=1)),
    }
    assert _on(client).object_lock()
    assert (PROBE_KEY, "ancien") not in client.objects
    assert (PROBE_KEY, "recent") in client.objects


def test_a_locked_object_is_kept_until_the_instant() -> None:
    client = Versions()
    store = _on(client)
    store.lock(store.put_bytes("dossier/acte.pdf", b"a"), "2999-01-01T01:00:00+01:00")
    [held] = [r for (key, _), r in client.objects.items() if key == "dossier/acte.pdf"]
    assert held is not None
    assert held.mode == "COMPLIANCE"
    assert held.retain_until_date == datetime(2999, 1, 1, tzinfo=UTC)
