"""Shared memory cannot be used so."""

from __future__ import annotations

from augserve_server.errors.base import ServiceError
from augserve_server.errors.wording import LONGEST_REASON, short


class SharedMemoryError(ServiceError):
    """A region cannot be registered or used as it was asked for."""

    status = 400
    slug = "region-invalid"
    title = "Shared memory region invalid"

    def __init__(self, name: str, reason: str) -> None:
        """``reason`` completes the sentence "shared memory region 'X' ..."."""
        super().__init__(f"shared memory region {short(name)!r} {short(reason, LONGEST_REASON)}", field="region")


class RegionNotFound(ServiceError):
    """The client has registered no region of this name."""

    status = 404
    slug = "region-not-found"
    title = "Shared memory region not found"

    def __init__(self, name: str) -> None:
        super().__init__(f"Unable to find shared memory region: {short(name)!r}", field="region", value=short(name))


class SharedMemoryForbidden(ServiceError):
    """The client is not on this machine."""

    status = 403
    slug = "not-local"
    title = "Not on this machine"

    def __init__(self) -> None:
        super().__init__("shared memory is for clients that connect over the loopback interface of this machine")


class SharedMemoryOff(ServiceError):
    """The server has no shared memory of this kind."""

    status = 501
    slug = "not-supported"
    title = "Not supported"

    def __init__(self, kind: str = "system") -> None:
        """``kind``: ``system``, or ``CUDA``, which cannot be enabled."""
        how = "; the server's setting shared_memory enables it" if kind == "system" else "; use system shared memory"
        super().__init__(f"{kind} shared memory is not enabled on this server{how}")
