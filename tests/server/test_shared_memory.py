"""Regions of shared memory: whose they are, what may be one, and what a client can do to one that is in use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from augserve_server.errors import RegionNotFound, SharedMemoryError
from augserve_server.oip.shared_memory import FOLDER, RegionLimits, Regions, RegionStatus, is_loopback

PREFIX = "augserve-test-"
SIZE = 10_000


@pytest.fixture
def regions() -> Iterator[Regions]:
    made = Regions(RegionLimits(PREFIX, 4, 100_000))
    yield made
    made.close()
    assert not len(made)


@pytest.fixture
def path() -> Iterator[Path]:
    """An object of shared memory, of bytes that differ from their neighbours."""
    made = Path(FOLDER, f"{PREFIX}{os.getpid()}")
    made.write_bytes(bytes(range(250)) * (SIZE // 250))
    yield made
    made.unlink(missing_ok=True)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_part_of_a_region_is_read_and_written(regions: Regions, path: Path) -> None:
    regions.register("in", "/" + path.name, 7, 1000, "a")
    assert regions.status("a") == [RegionStatus("in", "/" + path.name, 7, 1000)]
    with regions.lease("a", "in", 3, 40) as lease:
        assert lease.read() == path.read_bytes()[10:50]
        lease.write([b"", b"one", memoryview(b"two")])
    assert path.read_bytes()[8:18] == bytes([8, 9]) + b"onetwo" + bytes([16, 17])


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, SIZE + 1), (1, SIZE), (SIZE, 1), (-1, 5), (0, -1), (2**63 - 1, 1), (1, 2**63 - 1), (2**64, 2**64), (-5, SIZE)],
)
def test_what_an_object_does_not_have_is_refused(regions: Regions, path: Path, offset: int, size: int) -> None:
    before = open_files()
    regions.limits = RegionLimits(PREFIX, 4, 2**70)
    with pytest.raises(SharedMemoryError, match=f"cannot be {size} bytes from {offset} on: the object has {SIZE}"):
        regions.register("in", path.name, offset, size, "a")
    assert open_files() == before
    assert not regions.status("a")


@pytest.mark.parametrize(("offset", "size"), [(0, 101), (100, 1), (-1, 1), (2**63, 2**63), (50, 2**64 - 50), (1, 100)])
def test_what_a_region_does_not_have_is_refused(regions: Regions, path: Path, offset: int, size: int) -> None:
    regions.register("in", path.name, 9, 100, "a")
    with pytest.raises(SharedMemoryError, match="the region has 100"), regions.lease("a", "in", offset, size):
        pass


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "x", "augserve", "/etc/passwd", f"{PREFIX}/x", f"{PREFIX}../x", f"{PREFIX}..", f"{PREFIX}\0"),
        *(f"x/{PREFIX}a", f"../{PREFIX}a", f"/.{PREFIX}a", f"{PREFIX}a b", f"{PREFIX}é", PREFIX + "x" * 300),
        *(f"{PREFIX}a\n", "psm_12345678", "//" + PREFIX[1:]),
    ],
)
def test_keys_outside_the_rules_are_refused(regions: Regions, key: str) -> None:
    with pytest.raises(SharedMemoryError, match="has a key that is not allowed; allowed: letters"):
        regions.register("in", key, 0, 1, "a")


def test_slashes_in_front_of_a_key_are_no_part_of_it(regions: Regions, path: Path) -> None:
    regions.register("in", "///" + path.name, 0, SIZE, "a")
    assert regions.status("a", "in")[0].key == "///" + path.name


def test_links_pipes_and_folders_are_no_shared_memory(regions: Regions, path: Path, tmp_path: Path) -> None:
    before = open_files()
    other = path.with_name(path.name + "-other")
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(100))
    for make in (lambda: other.symlink_to(secret), other.mkdir, lambda: os.mkfifo(other), lambda: None):
        make()
        with pytest.raises(SharedMemoryError, match="no shared memory object that can be used"):
            regions.register("in", other.name, 0, 10, "a")
        if other.is_dir() and not other.is_symlink():
            other.rmdir()
        else:
            other.unlink(missing_ok=True)
    assert open_files() == before


def test_another_client_finds_nothing_of_a_region(regions: Regions, path: Path) -> None:
    regions.register("in", path.name, 0, 100, "a")
    assert regions.status("b") == []
    with pytest.raises(RegionNotFound):
        regions.status("b", "in")
    with pytest.raises(RegionNotFound) as caught, regions.lease("b", "in", 0, 10):
        pass
    assert path.name not in caught.value.detail
    regions.unregister("b", "in")
    regions.unregister("b")
    assert regions.status("a", "in")


def test_another_client_cannot_register_the_same_object_and_learns_nothing_from_it(
    regions: Regions, path: Path
) -> None:
    regions.register("in", path.name, 0, 100, "a")
    with pytest.raises(SharedMemoryError) as taken:
        regions.register("in", path.name, 0, 100, "b")
    linked = path.with_name(path.name + "-link")
    linked.hardlink_to(path)
    with pytest.raises(SharedMemoryError) as by_link:
        regions.register("in", linked.name, 0, 100, "b")
    linked.unlink()
    with pytest.raises(SharedMemoryError) as missing:
        regions.register("in", linked.name, 0, 100, "b")
    assert taken.value.detail == by_link.value.detail == missing.value.detail
    regions.register("again", path.name, 50, 100, "a")  # its owner may


def test_names_are_taken_once_for_each_client(regions: Regions, path: Path) -> None:
    regions.register("in", path.name, 0, 100, "a")
    with pytest.raises(SharedMemoryError, match="shared memory region 'in' already in manager"):
        regions.register("in", path.name, 0, 100, "a")
    regions.unregister("a", "in")
    regions.unregister("a", "in")
    regions.register("in", path.name, 0, 100, "b")
    for name in ("", "x" * 257, "a\nb", "\x1b[31m"):
        with pytest.raises(SharedMemoryError, match="printable characters"):
            regions.register(name, path.name, 0, 100, "a")


def test_there_is_an_end_to_regions_and_to_their_bytes(regions: Regions, path: Path) -> None:
    regions.limits = RegionLimits(PREFIX, 2, 150)
    regions.register("1", path.name, 0, 100, "a")
    with pytest.raises(SharedMemoryError, match="has 51 bytes; at most 50 are left"):
        regions.register("2", path.name, 0, 51, "a")
    regions.register("2", path.name, 0, 50, "a")
    with pytest.raises(SharedMemoryError, match="at most 2 are allowed"):
        regions.register("3", path.name, 0, 0, "a")


def test_a_region_that_is_unregistered_in_use_is_let_go_after_that(regions: Regions, path: Path) -> None:
    before = open_files()
    regions.register("in", path.name, 0, 100, "a")
    with regions.lease("a", "in", 0, 10) as first, regions.lease("a", "in", 5, 10) as second:
        regions.unregister("a", "in")
        assert regions.status("a") == []
        regions.register("in", path.name, 500, 100, "a")  # the name is free at once
        assert first.read() == path.read_bytes()[:10]
        second.write([b"late"])
        assert len(regions) == 2
    assert len(regions) == 1
    assert path.read_bytes()[5:9] == b"late"
    regions.unregister("a")
    assert open_files() == before


def test_an_object_that_is_cut_short_is_an_error_and_no_crash(regions: Regions, path: Path) -> None:
    regions.register("in", path.name, 0, SIZE, "a")
    with regions.lease("a", "in", 0, SIZE) as lease:
        os.truncate(path, 100)
        with pytest.raises(SharedMemoryError, match="region 'in' was cut short by its owner"):
            lease.read()
        lease.write([b"x" * SIZE])
        assert lease.read() == b"x" * SIZE
    assert path.stat().st_size == SIZE  # as it was registered, and no more


def test_an_object_without_a_name_any_more_is_still_there(regions: Regions, path: Path) -> None:
    regions.register("in", path.name, 0, SIZE, "a")
    content = path.read_bytes()
    path.unlink()
    with regions.lease("a", "in", 0, SIZE) as lease:
        assert lease.read() == content


def test_a_lease_that_is_closed_touches_no_file_any_more(regions: Regions, path: Path, tmp_path: Path) -> None:
    regions.register("in", path.name, 0, SIZE, "a")
    with regions.lease("a", "in", 0, 10) as lease:
        regions.unregister("a")
    other = tmp_path / "other"
    with other.open("wb") as file:  # which has the number that the object had
        assert file.fileno() == lease._file
        for use in (lease.read, lambda: lease.write([b"x"])):
            with pytest.raises(SharedMemoryError, match="no longer held"):
                use()
    assert other.read_bytes() == b""


def test_more_than_the_lease_is_not_written(regions: Regions, path: Path) -> None:
    regions.register("in", path.name, 0, 100, "a")
    content = path.read_bytes()
    with regions.lease("a", "in", 0, 10) as lease, pytest.raises(ValueError, match="11 bytes do not fit in 10"):
        lease.write([b"x" * 11])
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("unix:/x", True)),
        *(("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("0.0.0.0", False), ("localhost.evil.org", False)),
        *(("", True), ("fe80::1", False), ("127.0.0.1.evil.org", False)),
    ],
)
def test_only_this_machine_is_local(host: str, local: bool) -> None:
    assert is_loopback(host) is local
