"""What CUDA's own allocator keeps of the memory that is given back to it, as nvImageCodec does image by image."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

import torch

__all__ = ["DriverPool"]

_RELEASE_THRESHOLD: Final = 4  # CU_MEMPOOL_ATTR_RELEASE_THRESHOLD


class DriverPool:
    """A device's default pool of ``cudaMallocAsync``, told to keep ``size`` bytes.

    By default it gives all that is free back to the system whenever a stream is waited for, and asks for it again at
    the next image: each time new pages are mapped. torch keeps its own memory, and takes none from here. Where a driver
    has no such pools, nothing is changed.
    """

    def __init__(self, device: torch.device, size: int) -> None:
        self._cuda: ctypes.CDLL | None = None
        self._pool = ctypes.c_void_p()
        with suppress(OSError, AttributeError):  # no driver, or one of before CUDA 11.2
            cuda = ctypes.CDLL("libcuda.so.1")
            number, threshold = ctypes.c_int(), ctypes.c_uint64(size)
            found = (
                cuda.cuDeviceGet(ctypes.byref(number), ctypes.c_int(device.index or 0))
                or cuda.cuDeviceGetDefaultMemPool(ctypes.byref(self._pool), number)
                or cuda.cuMemPoolSetAttribute(self._pool, ctypes.c_int(_RELEASE_THRESHOLD), ctypes.byref(threshold))
            )
            self._cuda = None if found else cuda  # 0 is success

    def trim(self) -> None:
        """Give back to the system what is free."""
        if self._cuda is not None:
            self._cuda.cuMemPoolTrimTo(self._pool, ctypes.c_size_t(0))
