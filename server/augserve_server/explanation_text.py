"""An explanation as `augserve explain` prints it: a table for people, a record for programs."""

from __future__ import annotations

from dataclasses import asdict

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from augserve_pipelines import Explanation, Pipeline
from augserve_pipelines.explaining import Cost, Step
from augserve_server.explanations import Explained
from augserve_server.pipeline_table import describe_output


def as_text(pipeline: Pipeline, explanation: Explanation) -> RenderableType:
    """A heading, a row for each operation as it runs, the totals, and what comes out."""
    return Group(Text(_heading(pipeline, explanation)), _table(explanation), Text(_ending(explanation)))


def as_record(pipeline: Pipeline, explanation: Explanation) -> dict[str, object]:
    """The same as JSON values, with the names of the HTTP API."""
    return {
        "name": pipeline.name,
        "fingerprint": pipeline.fingerprint,
        "output": asdict(explanation.output),
        "explanation": Explained.model_validate(explanation).model_dump(mode="json"),
    }


def _heading(pipeline: Pipeline, explanation: Explanation) -> str:
    seeds = f"seeds {explanation.seed} to {explanation.seed + explanation.count - 1}"
    inputs = f"{explanation.count} {explanation.inputs}, {explanation.height} x {explanation.width} pixels"
    return f"{pipeline.name}: {inputs}, {seeds}"


def _table(explanation: Explanation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=False)
    for name in ("operation", "fused from"):
        table.add_column(name, overflow="fold")
    for name in ("images", "launches", "read", "written"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in explanation.steps:
        table.add_row(step.name, _origins(step, explanation.count), str(step.samples), *_costs(step.cost))
    for name in explanation.together:
        table.add_row(name, "the whole batch together", str(explanation.count), "", "", "")
    table.add_section()
    table.add_row("in all", "", "", *_costs(explanation.fused))
    saved = f"{explanation.drawn} operations in place of {len(explanation.steps)}"
    table.add_row("unfused", saved, "", *_costs(explanation.unfused))
    return table


def _ending(explanation: Explanation) -> str:
    return (
        f"gives {describe_output(explanation.output)}\n"
        "launches: about, on CUDA, for the batch; read and written: bytes for an image, on average"
    )


def _origins(step: Step, count: int) -> str:
    """Where one operation stands for itself, nothing."""
    if [origin.name for origin in step.origins] == [step.name]:
        return ""
    shares = [
        origin.name if origin.samples == count else f"{origin.name} ({origin.samples} of {count})"
        for origin in step.origins
    ]
    return ", ".join(shares)


def _costs(cost: Cost) -> tuple[str, str, str]:
    return f"{cost.launches:,}", size_of(cost.bytes_read), size_of(cost.bytes_written)


def size_of(count: int) -> str:
    """Bytes for people: ``953 B``, ``15.3 kB``, ``1.2 MB``."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 999_950 else f"{count / 1e6:.1f} MB"
