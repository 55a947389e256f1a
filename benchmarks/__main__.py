"""``python -m benchmarks``: every comparison, on the screen, in a CSV file and in a JSON file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.results import Results, Section, show

PARTS = ("engine", "server", "arrivals", "mixed", "memory", "gpu")
"""Modules of this package, each with ``run``."""

_ALWAYS = ("engine", "server", "arrivals", "mixed")


def main() -> None:
    """Run what the command line asks for."""
    options = _parser().parse_args()
    sections: list[Section] = []
    for part in options.only or [*_ALWAYS, *(["memory"] if options.minutes else [])]:
        for section in _work(part, options)():
            show(section)
            sections.append(section)
    results = Results.here(" ".join(["python -m benchmarks", *sys.argv[1:]]), sections, options.note)
    results.save(options.json)
    results.save_csv(options.csv)
    print(f"\n{results.machine}\nsaved as {options.json} and {options.csv}")


def _work(part: str, options: argparse.Namespace) -> Callable[[], list[Section]]:
    run = import_module(f"benchmarks.{part}").run
    if part == "memory":
        return lambda: run(options.minutes or 10)
    return lambda: run(options.rounds, options.seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="compare no more than this; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; in each, every contender runs")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a contender runs in a round")
    parser.add_argument("--minutes", type=float, help="also watch the server's memory for so long")
    parser.add_argument("--csv", type=Path, default=Path("out/benchmarks.csv"), help="where to save the rows")
    parser.add_argument("--json", type=Path, default=Path("out/benchmarks.json"), help="where to save the results")
    parser.add_argument("--note", default="", help="a remark on the circumstances, kept with the results")
    return parser


if __name__ == "__main__":
    main()
