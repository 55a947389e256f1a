"""``python -m benchmarks``: every comparison, on the screen and in a CSV file."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import decoding, engine, measure, server

_PARTS = {"engine": engine.run, "decoding": decoding.run, "server": server.run}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=[*_PARTS], help="compare no more than this")
    parser.add_argument("--rounds", type=int, default=7, help="rounds; in each, every contender runs")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a contender runs in a round")
    parser.add_argument("--csv", type=Path, default=Path("out/benchmarks.csv"), help="where to save the results")
    options = parser.parse_args()
    parts = [options.only] if options.only else [*_PARTS]
    rows = [row for part in parts for row in _PARTS[part](options.rounds, options.seconds)]
    measure.show(rows)
    measure.save(rows, options.csv)
    print(f"saved as {options.csv}")


if __name__ == "__main__":
    main()
