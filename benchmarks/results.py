"""Results: sections of rows, on the screen, in a CSV file, and in a JSON file that the page of figures is made from."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.tables import by_task, cells, headings

Record = Mapping[str, Any]
"""A row as it is kept in JSON."""


@dataclass(frozen=True, slots=True)
class Section:
    """One comparison: how it was made, its rows, and what was sampled over time, by name."""

    name: str
    about: str
    rows: Sequence[Record]
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, about: str, rows: Sequence[Any], **series: Sequence[float]) -> Self:
        """A section whose rows are dataclasses."""
        return cls(name, about, [asdict(row) for row in rows], series)


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one command measured."""

    command: str
    date: str
    machine: str
    versions: Mapping[str, str]
    sections: Sequence[Section]
    note: str = ""

    @classmethod
    def here(cls, command: str, sections: Sequence[Section], note: str = "") -> Self:
        """What was measured just now on this machine."""
        return cls(command, machine.today(), machine.describe(), machine.versions(), sections, note)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Results as :meth:`save` wrote them."""
        values = json.loads(path.read_text())
        return cls(**{**values, "sections": [Section(**section) for section in values["sections"]]})

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, default=str) + "\n")

    def save_csv(self, path: Path) -> None:
        """Write every row of every section to one CSV file; fields that a row lacks stay empty."""
        rows = [{"section": section.name, **row} for section in self.sections for row in section.rows]
        names = list(dict.fromkeys(name for row in rows for name in row))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


def show(section: Section) -> None:
    """A section as tables on the screen, one for each task."""
    console = Console(width=200)
    console.print(f"\n[bold]{section.name}[/bold]: {section.about}")
    for task, rows in by_task(section.rows):
        table = Table(title=task, title_justify="left")
        for heading in headings(rows):
            table.add_column(heading.text, justify="right" if heading.numeric else "left")
        for row in cells(rows):
            table.add_row(*row)
        console.print(table)
