"""What a user would otherwise run, one library to a module; those that are not installed are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from PIL import Image

PACKAGES = {
    "torchvision": "torchvision",
    "albumentations": "albumentationsx",
    "opencv": "opencv-python-headless",
    "pillow": "pillow",
    "kornia": "kornia",
    "dali": "nvidia-dali-cuda130",
    "cvcuda": "cvcuda-cu13",
}
"""The package of each module."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library that works on one decoded photograph at a time."""

    name: str
    remark: str  # what its results have in common with torchvision's
    take: Callable[[Image.Image], Any]  # a photograph as the library has it
    recipes: Mapping[str, Callable[[Any], Any]]  # by the name of the pipeline


@cache
def load(name: str) -> ModuleType | None:
    """The module of a peer; None, and a line on the screen, where its library cannot be imported."""
    try:
        return import_module(f"benchmarks.peers.{name}")
    except (ImportError, OSError) as error:  # a library whose own libraries are missing raises OSError
        print(f"{name} is left out, it cannot be imported ({error}): pip install {PACKAGES[name]}")
        return None


def decoded_peers(*names: str) -> list[Peer]:
    """Those of these peers that are installed."""
    modules = [load(name) for name in names]
    return [module.peer() for module in modules if module is not None]
