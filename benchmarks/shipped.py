"""Where the pipelines that ship lie."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """The file of a shipped pipeline."""
    return Path(__file__).parents[1] / "configs" / "pipelines" / f"{name}.yaml"
