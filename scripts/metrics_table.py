"""The table of metrics in docs/operating.md, from the metrics of a service as it is set up."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from augserve_server.metrics import Definition
from augserve_server.service import Service
from augserve_server.settings import Settings

BEGIN: Final = "<!-- metrics: written by scripts/generate.py -->"
END: Final = "<!-- end of metrics -->"


def definitions() -> list[Definition]:
    """Every metric of our own, in the order in which they are defined."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "identity.yaml").write_text("transforms: [Identity]")
        return Service(Settings(pipelines=Path(folder), device="cpu")).metrics.definitions


def with_table(page: str) -> str:
    """The page with its table as it should be."""
    rows = [_row(one) for one in definitions()]
    table = "\n".join(["| metric | type | labels | |", "| --- | --- | --- | --- |", *rows])
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{table}\n\n{END}", page, flags=re.DOTALL)


def _row(one: Definition) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.kind} | {labels} | {one.about} |"
