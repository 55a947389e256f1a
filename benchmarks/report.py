"""``python -m benchmarks.report``: docs/performance.md and its plots, from the results in ``benchmarks/results``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.plots import draw
from benchmarks.results import Results, Section
from benchmarks.tables import Record, by_task, cells, headings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"

INTRODUCTION = """# Performance

Written by `python -m benchmarks.report` from the results in `benchmarks/results`: nothing stands here that was not
measured, by the command and on the machine that stand above each part. Contenders take turns in every round, so that
what else a machine does falls on all alike: compare ratios within a table, not figures of two machines. `make bench`
measures again, `make bench-gpu` where there is a CUDA device, `make bench-page` writes this page anew.
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write; plots go into a folder beside it")
    options = parser.parse_args()
    files = sorted(options.results.glob("*.json"))
    if not files:
        raise SystemExit(f"no results in {options.results}: python -m benchmarks --json {options.results}/cpu.json")
    write({path.stem: Results.load(path) for path in files}, options.page)
    print(f"wrote {options.page}")


def write(found: dict[str, Results], page: Path) -> None:
    """Write the page of these results, by name, and the plots into a folder of the page's name beside it."""
    plots = page.with_suffix("")
    parts = [INTRODUCTION]
    for name, results in found.items():
        parts.append(_circumstances(name, results))
        parts += [_section(section, _plots(section, name, plots)) for section in results.sections]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts))


def _circumstances(name: str, results: Results) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in results.versions.items())
    lines = [f"## On {results.machine} ({name})", "", f"    {results.command}", ""]
    lines += [f"{results.date}. {versions}.", ""]
    lines += [f"**{results.note}**", ""] if results.note else []
    return "\n".join(lines)


def _section(section: Section, plots: Sequence[str]) -> str:
    title = section.name[:1].upper() + section.name[1:]
    pieces = [f"### {title}", section.about]
    for task, rows in by_task(section.rows):
        pieces += [f"**{task}**"] if task else []
        pieces.append(table(rows))
    pieces += [f"![{title}]({plot})" for plot in plots]
    return "\n\n".join(pieces) + "\n"


def table(rows: Sequence[Record]) -> str:
    """Rows as a Markdown table."""
    columns = headings(rows)
    lines = [
        " | ".join(column.text for column in columns),
        " | ".join("---:" if column.numeric else "---" for column in columns),
        *(" | ".join(text.replace("|", r"\|") for text in row) for row in cells(rows)),
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _plots(section: Section, name: str, folder: Path) -> list[str]:
    """Draw what a section has to see; the addresses of the plots as the page has them."""
    slug = "-".join(f"{name} {section.name}".replace(",", "").lower().split())
    path = folder / f"{slug}.svg"
    return [f"{folder.name}/{path.name}"] if draw(section, path) else []


if __name__ == "__main__":
    main()
