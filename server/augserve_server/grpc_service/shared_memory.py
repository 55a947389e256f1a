"""The methods of shared memory over gRPC. CUDA's has no regions here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from augserve_server.errors import RegionNotFound, SharedMemoryOff
from augserve_server.oip import regions
from augserve_server.service import Service
from augserve_server.visits import Visit

Document: TypeAlias = dict[str, Any]
Asked: TypeAlias = Callable[[Any, Visit], Awaitable[Document]]


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """What the methods do, each by the request's message and the visit."""

    service: Service

    @property
    def methods(self) -> Mapping[str, Asked]:
        """By the name of the method."""
        return {
            "SystemSharedMemoryStatus": self.status,
            "SystemSharedMemoryRegister": self.register,
            "SystemSharedMemoryUnregister": self.unregister,
            "CudaSharedMemoryStatus": self.cuda_status,
            "CudaSharedMemoryRegister": self.cuda_register,
            "CudaSharedMemoryUnregister": self.cuda_unregister,
        }

    async def status(self, request: Any, visit: Visit) -> Document:
        """The regions that the client has registered, or one of them."""
        found = regions.status(self.service, visit, request.name or None)
        return {"regions": {region.name: asdict(region) for region in found}}

    async def register(self, request: Any, visit: Visit) -> Document:
        """Give a name to a part of an object that the client has made."""
        regions.register(self.service, visit, request.name, request.key, request.offset, request.byte_size)
        return {}

    async def unregister(self, request: Any, visit: Visit) -> Document:
        """Forget a region, or all that the client has registered."""
        regions.unregister(self.service, visit, request.name or None)
        return {}

    async def cuda_status(self, request: Any, visit: Visit) -> Document:
        """No region."""
        if request.name:
            raise RegionNotFound(request.name)
        return {}

    async def cuda_register(self, request: Any, visit: Visit) -> Document:
        """There is no CUDA shared memory here."""
        raise SharedMemoryOff("CUDA")

    async def cuda_unregister(self, request: Any, visit: Visit) -> Document:
        """There is nothing to forget, which is no mistake."""
        return {}
