"""torchvision's JPEG codec, which is part of a library that names CUDA: loaded beside any build of torch."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from oracle import torchvision

# What the codec names and a CPU-only torch has not: nothing that the codec of the CPU calls.
CUDA_STUBS = {
    "libc10_cuda.so": "void *_ZN3c104cuda20CUDACachingAllocator9allocatorE[8];",
    "libtorch_cuda.so": "int none;",
}


def can_load() -> bool:
    """Whether torch has CUDA, or there is a C compiler to stand in for it."""
    return hasattr(torch.ops.image, "encode_jpeg") or shutil.which("cc") is not None


@contextmanager
def codec() -> Iterator[None]:
    """Let ``torchvision.io`` encode and decode."""
    if not hasattr(torch.ops.image, "encode_jpeg"):
        with tempfile.TemporaryDirectory() as folder:
            _load(Path(folder))
    own = torchvision.io.image._has_image_ops
    torchvision.io.image._has_image_ops = lambda: True
    try:
        yield
    finally:
        torchvision.io.image._has_image_ops = own


def _load(folder: Path) -> None:
    for name, source in CUDA_STUBS.items():
        library = folder / name
        command = ["cc", "-shared", "-fPIC", "-xc", "-", f"-Wl,-soname,{name}", "-o", str(library)]
        subprocess.run(command, input=source.encode(), check=True)
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(Path(torchvision.__file__).with_name("image.so")), os.RTLD_LAZY)
