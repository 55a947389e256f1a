"""The bound on what waits: what fits, what is refused, and when it may come again."""

from __future__ import annotations

import pytest

from augserve_server.admission import Admission, Load
from augserve_server.errors import QueueFull, TooMuchWork

LIMIT = Load(results=100, pixels=1000, bytes=10_000)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_fits_is_held_until_it_is_given_back() -> None:
    admission = Admission(LIMIT)
    with admission.ticket() as first, admission.ticket() as second:
        first.take(Load(results=10, pixels=500))
        second.take(Load(results=20, pixels=500, bytes=5))
        assert admission.load == Load(30, 1000, 5)
        assert admission.share == 1.0
        first.give(Load(results=10, pixels=200))
        assert admission.load == Load(20, 800, 5)
    assert admission.load == Load()


def test_what_a_failed_request_held_is_given_back() -> None:
    admission = Admission(LIMIT)

    def fail() -> None:
        with admission.ticket() as ticket:
            ticket.take(Load(results=10))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert admission.load == Load()


def test_a_ticket_that_is_closed_gives_nothing_twice() -> None:
    admission = Admission(LIMIT)
    with admission.ticket() as ticket:
        ticket.take(Load(results=10))
    ticket.give(Load(results=10))
    assert admission.load == Load()


@pytest.mark.parametrize("load", [Load(results=1), Load(pixels=1), Load(bytes=1)])
def test_any_count_that_is_full_refuses(load: Load) -> None:
    admission = Admission(LIMIT)
    with admission.ticket() as first, admission.ticket() as second:
        first.take(LIMIT)
        with pytest.raises(QueueFull) as caught:
            second.take(load)
        assert admission.load == LIMIT
    assert caught.value.retry_after_s == 1


@pytest.mark.parametrize("load", [Load(results=101), Load(pixels=1001), Load(bytes=10_001)])
def test_what_would_never_fit_is_told_so(load: Load) -> None:
    with Admission(LIMIT).ticket() as ticket, pytest.raises(TooMuchWork, match=r"at most"):
        ticket.take(load)


def test_a_request_that_grows_past_the_whole_limit_is_told_so() -> None:
    with Admission(LIMIT).ticket() as ticket:
        ticket.take(Load(bytes=9000))
        with pytest.raises(TooMuchWork):
            ticket.take(Load(bytes=1001))


def test_retry_after_is_when_the_excess_will_have_gone_at_the_measured_rate() -> None:
    clock = Clock()
    admission = Admission(LIMIT, clock)
    with admission.ticket() as first, admission.ticket() as second:
        first.take(Load(results=100))
        clock.now += 5
        first.give(Load(results=10))  # 2 results a second
        second.take(Load(results=10))
        with pytest.raises(QueueFull) as caught:
            second.take(Load(results=14))
    assert caught.value.retry_after_s == 7


def test_retry_after_forgets_what_was_long_ago() -> None:
    clock = Clock()
    admission = Admission(LIMIT, clock)
    with admission.ticket() as ticket, admission.ticket() as other:
        ticket.take(Load(results=100))
        ticket.give(Load(results=50))
        clock.now += 60
        ticket.give(Load(results=10))  # 1 result a second over the last ten seconds
        ticket.take(Load(results=60))
        with pytest.raises(QueueFull) as caught:
            other.take(Load(results=20))
    assert caught.value.retry_after_s == 20


def test_retry_after_is_never_more_than_a_minute() -> None:
    clock = Clock()
    admission = Admission(LIMIT, clock)
    with admission.ticket() as ticket, admission.ticket() as other:
        ticket.take(Load(results=100))
        clock.now += 1000
        ticket.give(Load(results=1))
        ticket.take(Load(results=1))
        with pytest.raises(QueueFull) as caught:
            other.take(Load(results=90))
    assert caught.value.retry_after_s == 60
