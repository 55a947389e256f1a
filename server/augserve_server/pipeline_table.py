"""Pipelines as `augserve pipelines` lists them: a table for people, records for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.table import Table

from augserve_pipelines import OutputSignature, Pipeline

SHORT_FINGERPRINT = 12


def as_table(pipelines: Sequence[Pipeline]) -> Table:
    """One row for each pipeline; fingerprints are cut short."""
    table = Table("name", "gives", "description", "fingerprint", box=box.SIMPLE)
    for pipeline in pipelines:
        gives = describe_output(pipeline.signature())
        table.add_row(pipeline.name, gives, pipeline.description, pipeline.fingerprint[:SHORT_FINGERPRINT])
    return table


def as_records(pipelines: Sequence[Pipeline]) -> list[dict[str, object]]:
    """The same as JSON values, with the names of the HTTP API and whole fingerprints."""
    return [
        {
            "name": pipeline.name,
            "description": pipeline.description,
            "fingerprint": pipeline.fingerprint,
            "output": asdict(pipeline.signature()),
        }
        for pipeline in pipelines
    ]


def describe_output(signature: OutputSignature) -> str:
    """``float32 3 x 224 x 224``; ``?`` is a side that depends on the image or on chance."""
    sides = (signature.channels, signature.height, signature.width)
    return f"{signature.dtype or '?'} {' x '.join('?' if side is None else str(side) for side in sides)}"
