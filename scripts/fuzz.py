"""Fuzz for as long as one likes: ``python -m scripts.fuzz --minutes 60``, or ``make fuzz MINUTES=60``.

Half of the time goes into numbered cases beyond those that ``make test`` runs, half into coverage-guided ones where
atheris is installed. Ends at the first case that crashes, hangs or grows, and says how to run it again.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fuzz.targets import GUIDED, TARGETS  # noqa: E402  # the tests are no package
from fuzz.watching import check, environment, run_cases  # noqa: E402

BLOCK = 2000
BEYOND = 1_000_000
"""The first number that no test has."""
FOLDER = ROOT / "out" / "fuzz"


def main() -> None:
    options = _options()
    names = options.targets or list(TARGETS)
    if options.cases:
        for name in names:
            print(name, run_cases(name, options.first, options.cases), flush=True)
        return
    each_s = options.minutes * 60 / len(names)
    for name in names:
        guided = name in GUIDED and importlib.util.find_spec("atheris") is not None
        fuzz_numbered(name, each_s / 2 if guided else each_s)
        if guided:
            fuzz_guided(name, each_s / 2)


def fuzz_numbered(name: str, seconds: float) -> None:
    """Blocks of cases, from a number at random on, until the time is over."""
    end, first, done = monotonic() + seconds, BEYOND + random.SystemRandom().randrange(1 << 40), 0
    while monotonic() < end:
        check(run_cases(name, first + done, BLOCK))
        done += BLOCK
    print(f"{name}: {done} cases from number {first} on", flush=True)


def fuzz_guided(name: str, seconds: float) -> None:
    """libFuzzer, with what it has found so far in a folder that stays. Raises where it finds what should not be."""
    command = [sys.executable, "-m", "fuzz.guided", name, f"-max_total_time={max(int(seconds), 1)}", "-timeout=120"]
    command += ["-rss_limit_mb=4096", f"-artifact_prefix={FOLDER}/{name}-", "-print_final_stats=1"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    run = subprocess.run([*command, str(FOLDER / name)], env=environment(), stderr=subprocess.PIPE, text=True)
    if run.returncode:
        raise SystemExit(f"{name}: a guided case failed; it is in {FOLDER}\n{run.stderr[-6000:]}")
    executions = [line for line in run.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"{name}: guided by coverage, {executions[-1].split()[-1]} cases", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; absent: all")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case, with --cases")
    parser.add_argument("--cases", type=int, default=0, help="how many cases to run, and no more")
    options = parser.parse_args()
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(TARGETS)}")
    return options


if __name__ == "__main__":
    main()
