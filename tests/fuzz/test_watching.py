"""What a child process dies of is told, and in which case."""

from __future__ import annotations

import pytest

from fuzz.watching import run_cases


@pytest.mark.parametrize(
    ("target", "how"), [("crash", "died of SIGSEGV"), ("hang", "took more than 2 s of processor time")]
)
def test_a_case_that_ends_its_process_is_named(target: str, how: str) -> None:
    with pytest.raises(AssertionError, match=f"case 7 of {target} {how}; again: .* --first 7 --cases 1") as caught:
        run_cases(target, 0, 10)
    assert "in fail" in str(caught.value)  # where it was
