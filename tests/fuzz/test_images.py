"""A hundred thousand mutated images of every format that is taken: each decodes, or is refused in our words."""

from __future__ import annotations

import pytest

from fuzz.images import FORMATS, corpus
from fuzz.targets import decoder
from fuzz.watching import check, run_cases

CASES = 100_000


@pytest.mark.parametrize("format", FORMATS)
def test_mutated_images_are_decoded_or_refused(format: str) -> None:
    report = run_cases(format, 0, -(-CASES // len(FORMATS)))
    check(report)
    assert report.outcomes["decoded"] > report.cases / 20, report  # or they would all end at the first look
    assert report.outcomes["ImageCorrupt"] + report.outcomes["ImageTruncated"] > report.cases / 20, report


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_mutated_decodes_before_it_is(format: str) -> None:
    with decoder() as decode:
        assert {decode(data) for data in corpus()[format]} == {"decoded"}
