"""Twenty thousand mutated requests of the Open Inference Protocol: each is answered, or refused in its own shape."""

from __future__ import annotations

import pytest

from fuzz.oip_requests import make_body, read_body
from fuzz.watching import check, run_cases

CASES = 20_000
PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_requests_are_answered_or_refused(part: int) -> None:
    report = run_cases("requests", part * CASES // PARTS, CASES // PARTS)
    check(report)
    assert report.outcomes["200"] > report.cases / 10, report  # or they would all end at the first look
    assert report.outcomes["400"] > report.cases / 10, report


def test_bodies_for_guided_fuzzing_are_of_both_kinds() -> None:
    assert {read_body(make_body(index)) for index in range(100)} == {"read", "refused"}
