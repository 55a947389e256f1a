"""Regions of shared memory that clients have registered, and reading and writing them.

A region is read and written through its file, never mapped. The client can shorten the object at any moment, and to
touch a mapped page that is no longer there is SIGBUS, which ends the process; checking the size first does not help, as
it may change just after. ``preadv`` past the end is only short, and ``pwrite`` makes the object as long again as it was
when it was registered. A copy is needed anyhow: what a client can change while it is read must be read once, and then
be checked.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Lock
from typing import Final

from augserve.wire.dtypes import Buffer, flat
from augserve_server.errors import RegionNotFound, SharedMemoryError

FOLDER: Final = "/dev/shm/"
"""Where POSIX shared memory lies on Linux."""

_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,250}")
PIECE: Final = 8 << 20
"""Bytes that are copied at a time: a millisecond or two."""
_LONGEST_NAME: Final = 256
_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_UNUSABLE: Final = "has a key of no shared memory object that can be used"
"""One answer for an object that is missing, closed to us, not a plain one or another client's: nothing is found out."""


@dataclass(frozen=True, slots=True)
class RegionLimits:
    """What may be registered: keys that begin with ``prefix``, so many regions, and so many bytes in all of them."""

    prefix: str
    regions: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """What a client is told of a region of its own; sizes in bytes."""

    name: str
    key: str
    offset: int
    byte_size: int


@dataclass(slots=True)
class _Region:
    status: RegionStatus
    file: int
    object: tuple[int, int]  # device and inode
    owner: str
    users: int = 0
    registered: bool = True


@dataclass(slots=True)
class Lease:
    """A part of a region, while the lease is open: ``byte_size`` bytes. May be used in any thread.

    A thread goes on when the request that it works for is cancelled; once the lease is closed it gets an error, as its
    file may be another one by then.
    """

    name: str
    byte_size: int
    _file: int
    _start: int
    _lock: Lock = field(default_factory=Lock)
    _open: bool = True

    def read(self) -> bytearray:
        """What is there now: a copy. Raises ``SharedMemoryError`` where the object has become shorter."""
        content = bytearray(self.byte_size)
        rest, place = memoryview(content), self._start
        while len(rest):
            with self._held() as file:
                size = os.preadv(file, [rest[:PIECE]], place)
            if not size:
                raise SharedMemoryError(self.name, "was cut short by its owner")
            rest, place = rest[size:], place + size
        return content

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Put the buffers there one after another. They fit, or it is a mistake of the caller.

        Raises ``SharedMemoryError`` where there is no memory for them.
        """
        views = [flat(buffer) for buffer in buffers]
        if sum(map(len, views)) > self.byte_size:
            raise ValueError(f"{sum(map(len, views))} bytes do not fit in {self.byte_size}")
        place = self._start
        for view in views:
            while len(view):
                size = self._write(view[:PIECE], place)
                view, place = view[size:], place + size

    def close(self) -> None:
        """Let no thread touch the file any more; waits for a piece that is on its way."""
        with self._lock:
            self._open = False

    def _write(self, piece: memoryview, place: int) -> int:
        with self._held() as file:
            try:
                return os.pwrite(file, piece, place)
            except OSError as exc:
                raise SharedMemoryError(self.name, "cannot be written") from exc

    @contextmanager
    def _held(self) -> Iterator[int]:
        with self._lock:
            if not self._open:
                raise SharedMemoryError(self.name, "is no longer held by this request")
            yield self._file


@dataclass(slots=True)
class Regions:
    """The regions of all clients. Each client has names of its own, and knows of no others. For one thread."""

    limits: RegionLimits
    _regions: dict[tuple[str, str], _Region] = field(default_factory=dict)  # by owner and name
    _open: list[_Region] = field(default_factory=list)  # those too that are unregistered and still in use

    def register(self, name: str, key: str, offset: int, byte_size: int, owner: str) -> None:
        """Give the name to ``byte_size`` bytes, from ``offset`` on, of the object that the client has made as ``key``.

        Raises ``SharedMemoryError`` for a name that is taken, a key that is not allowed or leads to nothing that can be
        used, a range that the object does not have, or where there are too many regions or bytes in them.
        """
        self._check_name(name, owner)
        self._check_room(name, byte_size)
        file = _opened(name, key, self.limits.prefix)
        with ExitStack() as stack:
            stack.callback(os.close, file)
            found = os.fstat(file)
            self._check_object(name, found, owner)
            _check_range(name, offset, byte_size, found.st_size, "the object")
            region = _Region(RegionStatus(name, key, offset, byte_size), file, (found.st_dev, found.st_ino), owner)
            self._regions[owner, name] = region
            self._open.append(region)
            stack.pop_all()

    def unregister(self, owner: str, name: str | None = None) -> None:
        """Forget a region of the client, or all that it has; those in use are let go when they no longer are.

        A name that is not registered is no mistake.
        """
        names = [own for client, own in self._regions if client == owner] if name is None else [name]
        for each in names:
            if (region := self._regions.pop((owner, each), None)) is not None:
                region.registered = False
                self._close_unused(region)

    def status(self, owner: str, name: str | None = None) -> list[RegionStatus]:
        """The regions of the client, or the one of this name. Raises ``RegionNotFound``."""
        if name is not None:
            return [self._find(owner, name).status]
        return [region.status for (client, _), region in self._regions.items() if client == owner]

    @contextmanager
    def lease(self, owner: str, name: str, offset: int, byte_size: int) -> Iterator[Lease]:
        """Hold a part of a region of the client.

        Raises ``RegionNotFound``, or ``SharedMemoryError`` for a range that the region does not have.
        """
        region = self._find(owner, name)
        _check_range(name, offset, byte_size, region.status.byte_size, "the region")
        lease = Lease(name, byte_size, region.file, region.status.offset + offset)
        region.users += 1
        try:
            yield lease
        finally:
            lease.close()
            region.users -= 1
            self._close_unused(region)

    def close(self) -> None:
        """Let every region go."""
        for owner in {owner for owner, _ in self._regions}:
            self.unregister(owner)

    def __len__(self) -> int:
        """How many objects are open."""
        return len(self._open)

    def _find(self, owner: str, name: str) -> _Region:
        region = self._regions.get((owner, name))
        if region is None:
            raise RegionNotFound(name)
        return region

    def _check_name(self, name: str, owner: str) -> None:
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise SharedMemoryError(name, f"has a name that is not 1 to {_LONGEST_NAME} printable characters")
        if (owner, name) in self._regions:
            raise SharedMemoryError(name, "already in manager; unregister it first")

    def _check_room(self, name: str, byte_size: int) -> None:
        if len(self._open) >= self.limits.regions:
            raise SharedMemoryError(name, f"is one too many: at most {self.limits.regions} are allowed")
        held = sum(region.status.byte_size for region in self._open)
        if held + byte_size > self.limits.bytes:
            raise SharedMemoryError(name, f"has {byte_size} bytes; at most {self.limits.bytes - held} are left")

    def _check_object(self, name: str, found: os.stat_result, owner: str) -> None:
        foreign = any(region.object == (found.st_dev, found.st_ino) and region.owner != owner for region in self._open)
        if foreign or not stat.S_ISREG(found.st_mode):
            raise SharedMemoryError(name, _UNUSABLE)

    def _close_unused(self, region: _Region) -> None:
        if not region.registered and not region.users:
            self._open.remove(region)
            os.close(region.file)


def is_loopback(host: str) -> bool:
    """Whether a peer of this address is a process of this machine, as it is without one, over a UNIX socket.

    A proxy on this machine is one too, whoever it speaks for.
    """
    if not host or host.startswith("unix:"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _opened(name: str, key: str, prefix: str) -> int:
    bare = key.lstrip("/")
    if not _KEY.fullmatch(bare) or ".." in bare or not bare.startswith(prefix):
        allowed = f"letters, digits, '.', '_', '-', beginning with {prefix!r}, without '..'"
        raise SharedMemoryError(name, f"has a key that is not allowed; allowed: {allowed}")
    try:
        return os.open(FOLDER + bare, _FLAGS)
    except OSError as exc:
        raise SharedMemoryError(name, _UNUSABLE) from exc


def _check_range(name: str, offset: int, byte_size: int, size: int, what: str) -> None:
    """Python's integers have no end, so nothing here can overflow."""
    if offset < 0 or byte_size < 0 or offset + byte_size > size:
        raise SharedMemoryError(name, f"cannot be {byte_size} bytes from {offset} on: {what} has {size}")
