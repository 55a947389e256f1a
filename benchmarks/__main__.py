"""``python -m benchmarks``: every comparison, on the screen, in a CSV file and in a JSON file."""

from __future__ import annotations

import argparse
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks import gpu
from benchmarks.measure import call
from benchmarks.results import Results, Section, show

CPU = ("engine", "decoding", "server", "arrivals", "mixed", "training")
PARTS = (*CPU, "memory", "gpu", *gpu.PARTS, "faults", "slow_clients")
"""What there is: modules of this package, each with ``run``."""


def main(arguments: Sequence[str], command: str) -> None:
    """Run what the command line asks for; ``command`` is what it is kept under.

    Exits with status 1 where a part failed; what the others measured is saved all the same.
    """
    options = _parser().parse_args(arguments)
    parts = _parts(options)
    sections, failed = _measured(parts, vars(options))
    results = Results.here(shlex.join([*command.split(), *arguments]), sections, options.note)
    results.save(options.json)
    results.save_csv(options.csv)
    print(f"\n{results.machine}\nsaved as {options.json} and {options.csv}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _parts(options: argparse.Namespace) -> list[str]:
    chosen = options.only or [*CPU, *(["memory"] if options.minutes else [])]
    if {"gpu", *gpu.PARTS} & {*chosen}:
        gpu.require_device()
    return [part for one in chosen for part in (gpu.PARTS if one == "gpu" else [one])]


def _measured(parts: Sequence[str], options: dict[str, object]) -> tuple[list[Section], list[str]]:
    """The sections of all parts, and the parts that failed."""
    sections: list[Section] = []
    failed = []
    given = {name: value for name, value in options.items() if value is not None}
    for part in parts:
        try:
            found: list[Section] = call(import_module(f"benchmarks.{part}").run, given)
        except Exception:  # noqa: BLE001 - a part that fails is not to cost the others their hour
            traceback.print_exc()
            failed.append(part)
            continue
        for section in found:
            show(section)
        sections += found
    return sections, failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="compare no more than this; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; in each, every contender runs")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a contender runs in a round")
    parser.add_argument("--minutes", type=float, help="also watch the server's memory, or kill workers, for so long")
    parser.add_argument("--workers", type=int, help="processes that serve: of arrivals and slow_clients")
    parser.add_argument("--csv", type=Path, default=Path("out/benchmarks.csv"), help="where to save the rows")
    parser.add_argument("--json", type=Path, default=Path("out/benchmarks.json"), help="where to save the results")
    parser.add_argument("--note", default="", help="a remark on the circumstances, kept with the results")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:], "python -m benchmarks")
