"""Where the pipelines that ship lie."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "configs" / "pipelines"


def shipped(name: str) -> Path:
    """The file of a shipped pipeline."""
    return _FOLDER / f"{name}.yaml"


def names() -> list[str]:
    """The pipelines that ship."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))
