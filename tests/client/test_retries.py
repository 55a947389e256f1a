from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from small_service import problem

from augserve import AugserveError, ConnectionFailed, ConnectionLost, Overloaded, Retries, ServiceUnavailable, Timeout
from augserve.errors import service_error
from augserve.retries import Attempts, read_retry_after
from augserve.wire import Problem

NOW = datetime(2025, 1, 1, 12, 0, 0, tzinfo=UTC)


def fixed(value: float) -> Callable[[], float]:
    return lambda: value


def overloaded(retry_after_s: float | None = None) -> AugserveError:
    return service_error(Problem.model_validate_json(problem(429, "queue-full").content), retry_after_s)


@pytest.mark.parametrize(("failures", "ceiling_s"), [(1, 0.2), (2, 0.4), (3, 0.8), (7, 10.0), (2000, 10.0)])
def test_the_ceiling_of_the_wait_doubles_up_to_its_limit(failures: int, ceiling_s: float) -> None:
    assert Retries(draw=fixed(1.0)).delay_s(failures) == pytest.approx(ceiling_s)
    assert Retries(draw=fixed(0.25)).delay_s(failures) == pytest.approx(ceiling_s / 4)
    assert Retries(draw=fixed(0.0)).delay_s(failures) == 0


def test_the_wait_is_as_long_as_the_server_asks_and_jitter_on_top() -> None:
    assert Retries(draw=fixed(0.5)).delay_s(1, retry_after_s=3) == pytest.approx(3.1)


def test_a_long_wait_that_the_server_asks_for_is_cut() -> None:
    assert Retries(draw=fixed(0.0), retry_after_limit_s=60).delay_s(1, retry_after_s=86_400) == 60


@given(failures=st.integers(1, 10_000), retry_after_s=st.none() | st.floats(0, 1e9), draw=st.floats(0, 1))
def test_no_wait_is_longer_than_the_two_limits_together(
    failures: int, retry_after_s: float | None, draw: float
) -> None:
    assert 0 <= Retries(draw=fixed(draw)).delay_s(failures, retry_after_s) <= 70


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 17 ", 17.0),
        ("Wed, 01 Jan 2025 12:00:30 GMT", 30.0),
        ("Wednesday, 01-Jan-25 12:00:30 GMT", 30.0),
        ("Wed, 01 Jan 2025 11:00:00 GMT", 0.0),
        ("Wed, 01 Jan 2025 12:00:30 -0000", 30.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("Wed, 99 Jan 2025 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, NOW) == seconds


def test_a_refusal_under_load_is_tried_again_until_the_tries_are_used_up() -> None:
    attempts = Attempts(Retries(attempts=3, draw=fixed(0.0)), FakeClock(), timeout_s=None)
    assert attempts.delay_s(overloaded(1)) == 1
    assert attempts.delay_s(overloaded(2)) == 2
    with pytest.raises(Overloaded) as raised:
        attempts.delay_s(overloaded(3))
    assert raised.value.__notes__ == ["given up after 3 of at most 3 tries"]


@pytest.mark.parametrize("status", [400, 404, 406, 413, 415, 422, 500, 501])
def test_an_error_that_would_come_again_is_final(status: int) -> None:
    failure = service_error(Problem(status=status))
    with pytest.raises(type(failure)):
        Attempts(Retries(), FakeClock(), timeout_s=None).delay_s(failure)


@pytest.mark.parametrize(
    "failure",
    [ConnectionFailed("lost"), *(service_error(Problem(status=status)) for status in (429, 502, 503, 504))],
    ids=repr,
)
def test_an_error_that_may_pass_is_tried_again(failure: AugserveError) -> None:
    assert Attempts(Retries(draw=fixed(0.5)), FakeClock(), timeout_s=None).delay_s(failure) == pytest.approx(0.1)


def test_a_connection_that_broke_off_is_made_again_at_once_the_first_time() -> None:
    attempts = Attempts(Retries(draw=fixed(0.5)), FakeClock(), timeout_s=None)
    assert attempts.delay_s(ConnectionLost("lost")) == 0
    assert attempts.delay_s(ConnectionLost("lost")) == pytest.approx(0.2)


def test_the_servers_own_deadline_is_final() -> None:
    failure = service_error(Problem(status=504, type="urn:augserve:error:deadline-exceeded"))
    with pytest.raises(Timeout):
        Attempts(Retries(), FakeClock(), timeout_s=None).delay_s(failure)


def test_a_wait_that_does_not_fit_the_time_left_is_not_begun() -> None:
    clock = FakeClock()
    attempts = Attempts(Retries(attempts=100, draw=fixed(0.0)), clock, timeout_s=10)
    clock.sleep(attempts.delay_s(overloaded(4)))
    assert attempts.remaining_s() == 6
    clock.sleep(attempts.delay_s(overloaded(4)))
    with pytest.raises(Overloaded):
        attempts.delay_s(overloaded(4))
    assert clock.slept_s == [4, 4]


def test_when_no_time_is_left_that_is_the_error() -> None:
    clock = FakeClock()
    attempts = Attempts(Retries(), clock, timeout_s=2)
    clock.sleep(2)
    with pytest.raises(Timeout, match="no answer within 2 s"):
        attempts.remaining_s()


def test_without_a_limit_time_does_not_run_out() -> None:
    clock = FakeClock()
    attempts = Attempts(Retries(draw=fixed(0.0)), clock, timeout_s=None)
    clock.sleep(1e9)
    assert attempts.remaining_s() is None
    assert attempts.delay_s(ServiceUnavailable(Problem(status=503), 60)) == 60
