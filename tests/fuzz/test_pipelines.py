"""Five thousand mutated pipeline files: each loads, or is refused with all that is wrong with it."""

from __future__ import annotations

import pytest

from fuzz.watching import check, run_cases

CASES = 5000
PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_pipeline_files_are_loaded_or_refused(part: int) -> None:
    report = run_cases("pipelines", part * CASES // PARTS, CASES // PARTS)
    check(report)
    assert report.outcomes["refused"] > report.cases / 2, report
    assert report.outcomes["loaded"] > report.cases / 50, report
