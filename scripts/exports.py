"""What ``augserve_pipelines.transforms`` exports: every transform that a module of the package defines."""

from __future__ import annotations

import enum
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from augserve_pipelines import transforms
from augserve_pipelines.transforms import base, queries

DOCSTRING = (
    '"""The transforms of ``torchvision.transforms.v2`` under their names, for YAML, pipelines and eager use."""'
)
NAME = "pipelines/augserve_pipelines/transforms/__init__.py"
BASE = "Base of "  # begins the docstring of a class that is no transform by itself


def exports() -> str:
    """The text of ``transforms/__init__.py``, which ``scripts/generate.py`` writes."""
    package = transforms.__name__
    names = {
        "augserve_pipelines.interpolation": ["InterpolationMode"],
        package: ["functional"],
        f"{package}.{Path(base.__file__).stem}": ["RandomTransform", "Transform"],
        f"{package}.{Path(queries.__file__).stem}": list(queries.__all__),
        **dict(_defined()),
    }
    lines = [DOCSTRING, ""]
    lines += [f"from {module} import {', '.join(own)}" for module, own in names.items()]
    everything = ", ".join(f'"{name}"' for own in names.values() for name in own)
    return _tidied("\n".join([*lines, "", f"__all__ = [{everything},]", ""]))


def _defined() -> Iterator[tuple[str, list[str]]]:
    for info in pkgutil.iter_modules(transforms.__path__, f"{transforms.__name__}."):
        if info.ispkg or info.name == base.__name__:
            continue
        module = importlib.import_module(info.name)
        names = [name for name, kind in vars(module).items() if _is_exported(kind, info.name)]
        if names:
            yield info.name, names


def _is_exported(kind: object, module: str) -> bool:
    if not isinstance(kind, type) or kind.__module__ != module or kind.__name__.startswith("_"):
        return False
    return issubclass(kind, base.Transform | enum.Enum) and not (kind.__doc__ or "").startswith(BASE)


def _tidied(text: str) -> str:
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    for command in (["check", "--quiet", "--select", "I,RUF022", "--fix"], ["format", "--quiet"]):
        done = subprocess.run(
            [*ruff, *command, "--stdin-filename", "pipelines/x.py", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text
