"""What clients do with regions of shared memory, however their requests travel."""

from __future__ import annotations

from augserve_server.errors import RegionNotFound
from augserve_server.oip.shared_memory import RegionStatus
from augserve_server.oip.shared_tensors import usable
from augserve_server.service import Service
from augserve_server.visits import Visit


def status(service: Service, visit: Visit, name: str | None = None) -> list[RegionStatus]:
    """The regions that the client has registered, or the one of this name; while shared memory is off, there are none.

    Raises RegionNotFound.
    """
    if service.regions is not None:
        return service.regions.status(visit.client, name)
    if name is not None:
        raise RegionNotFound(name)
    return []


def register(service: Service, visit: Visit, name: str, key: str, offset: int, byte_size: int) -> None:
    """Give a name to a part of an object that the client has made.

    Raises SharedMemoryOff, SharedMemoryForbidden or SharedMemoryError.
    """
    usable(service.regions, visit).register(name, key, offset, byte_size, visit.client)


def unregister(service: Service, visit: Visit, name: str | None = None) -> None:
    """Forget a region, or all that the client has registered. Raises SharedMemoryOff or SharedMemoryForbidden."""
    usable(service.regions, visit).unregister(visit.client, name)
