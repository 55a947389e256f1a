"""What a run over files tells its user: progress while it goes, and at the end what was written and what failed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from augserve_server.folder_run import Outcome

FAILED = 1
INTERRUPTED = 130  # what shells call the end by Ctrl-C


def report_run(outcomes: Generator[Outcome], total: int, skipped: int) -> int:
    """Carry out a run of ``total`` images by taking its outcomes, and say how it goes on stderr; the exit status."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if skipped:
        console.print(f"{skipped} of {total + skipped} images are already written and are left as they are")
    began = perf_counter()
    done, failures, interrupted = 0, [], False
    with closing(outcomes), _progress(console) as progress:
        task = progress.add_task("", total=total, failed=0, rate=0.0)
        try:
            for outcome in outcomes:
                done += 1
                failures += [outcome] if outcome.error is not None else []
                progress.update(task, advance=1, failed=len(failures), rate=done / (perf_counter() - began))
        except KeyboardInterrupt:
            interrupted = True
    seconds = perf_counter() - began
    written = done - len(failures)
    console.print(f"{written} written, {len(failures)} failed in {seconds:.1f} s ({done / seconds:.1f} images/s)")
    for failure in failures:
        console.print(f"  {failure.source.path}: {failure.error}", style="red", markup=False)
    if interrupted:
        console.print("stopped before the end; the same command goes on from here")
        return INTERRUPTED
    return FAILED if failures else 0


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} images/s"),
        TextColumn("{task.fields[failed]} failed"),
        TimeRemainingColumn(),
        console=console,
    )
