"""The bound on what waits: what fits, what is refused, whose is refused first, and when it may come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from math import ceil

import pytest

from augserve_server.admission import MOST_REMEMBERED, REMEMBERED_S, Admission, Load, Priority, Ticket
from augserve_server.errors import QueueFull, TooMuchWork

LIMIT = Load(results=100, pixels=1000, bytes=10_000, microseconds=10_000_000)
SECOND = Load(microseconds=1_000_000)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class House:
    """An admission whose time is the test's, and what it refused."""

    def __init__(self, stack: ExitStack) -> None:
        self.clock = Clock()
        self.refused: list[tuple[str, Priority]] = []
        self.admission = Admission(LIMIT, self.clock, lambda *why: self.refused.append(why))
        self._stack = stack

    def ticket(self, client: str = "", priority: Priority = Priority.INTERACTIVE) -> Ticket:
        return self._stack.enter_context(self.admission.ticket(client, priority))

    def fill(self, client: str, load: Load, priority: Priority = Priority.INTERACTIVE) -> int:
        """How many requests of a client are let in before one is refused."""
        for count in range(200):
            try:
                self.ticket(client, priority).take(load)
            except QueueFull:
                return count
        raise AssertionError("nothing is refused")


@pytest.fixture
def house() -> Iterator[House]:
    with ExitStack() as stack:
        yield House(stack)


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


@pytest.mark.parametrize("load", [Load(results=1), Load(pixels=1), Load(bytes=1), SECOND])
def test_any_count_that_is_full_refuses(load: Load) -> None:
    admission = Admission(LIMIT)
    with admission.ticket() as first, admission.ticket() as second:
        first.take(LIMIT)
        with pytest.raises(QueueFull):
            second.take(load)
        assert admission.load == LIMIT


@pytest.mark.parametrize("load", [Load(results=101), Load(pixels=1001), Load(bytes=10_001)])
def test_what_would_never_fit_is_told_so(load: Load) -> None:
    with Admission(LIMIT).ticket() as ticket, pytest.raises(TooMuchWork, match=r"at most"):
        ticket.take(load)


def test_a_request_that_grows_past_the_whole_limit_is_told_so() -> None:
    with Admission(LIMIT).ticket() as ticket:
        ticket.take(Load(bytes=9000))
        with pytest.raises(TooMuchWork):
            ticket.take(Load(bytes=1001))


def test_of_what_is_expected_only_the_bytes_are_held(house: House) -> None:
    house.ticket().expect(Load(100, 1000, 10_000, 10_000_000))
    assert house.admission.load == Load(bytes=10_000)


def test_what_is_expected_and_does_not_fit_holds_nothing(house: House) -> None:
    house.fill("flood", SECOND)
    with pytest.raises(QueueFull):
        house.ticket().expect(Load(results=1, bytes=100, microseconds=SECOND.microseconds))
    assert not house.admission.load.bytes


# Work, whose seconds are learned and may be wrong.


def test_more_work_than_the_whole_queue_is_let_in_where_there_is_no_other(house: House) -> None:
    house.ticket().take(Load(results=1, microseconds=50_000_000))
    with pytest.raises(QueueFull):
        house.ticket().take(SECOND)


def test_a_request_of_much_work_waits_for_a_quarter_of_the_queue_to_be_free(house: House) -> None:
    large = Load(results=1, microseconds=50_000_000)
    held = house.ticket()
    held.take(Load(microseconds=8_000_000))
    with pytest.raises(QueueFull):
        house.ticket().take(large)
    held.give(SECOND)
    house.ticket().take(large)


def test_the_work_of_one_large_request_leaves_room_for_other_clients(house: House) -> None:
    house.ticket("other").expect(SECOND)
    house.ticket("large").take(Load(results=1, microseconds=50_000_000))
    house.ticket("other").take(SECOND)
    with pytest.raises(QueueFull):
        house.ticket("large").take(SECOND)


# Whose is refused first.


def test_a_client_alone_may_fill_the_queue(house: House) -> None:
    assert house.fill("flood", SECOND) == 10
    assert house.refused == [("work", Priority.INTERACTIVE)]


def test_a_client_among_others_leaves_the_last_half_to_those_below_their_share(house: House) -> None:
    house.ticket("other").expect(SECOND)
    assert house.fill("flood", SECOND) == 5
    assert house.fill("other", SECOND) == 3
    assert house.fill("third", SECOND) == 2
    assert [cause for cause, _ in house.refused] == ["share", "share", "work"]


def test_a_flood_cannot_take_what_another_client_gives_back(house: House) -> None:
    house.ticket("other").expect(SECOND)
    house.fill("flood", SECOND)
    mine = house.ticket("other")
    for _ in range(20):
        mine.take(SECOND)
        with pytest.raises(QueueFull):
            house.ticket("flood").take(SECOND)
        mine.give(SECOND)


def test_shares_hold_for_bytes_too_so_that_bodies_that_stall_shut_nobody_out(house: House) -> None:
    house.ticket("other").expect(Load(results=1))
    assert house.fill("stalls", Load(bytes=1000)) == 5
    house.ticket("other").take(Load(bytes=2000))


def test_a_client_that_was_not_seen_for_long_keeps_nothing_from_others(house: House) -> None:
    house.ticket("once").expect(SECOND)
    house.clock.now += REMEMBERED_S + 1
    assert house.fill("flood", SECOND) == 10


def test_clients_are_forgotten(house: House) -> None:
    for number in range(3 * MOST_REMEMBERED):
        with house.admission.ticket(f"client {number}") as ticket:
            ticket.take(SECOND)
    assert len(house.admission._seen) <= MOST_REMEMBERED
    assert not house.admission._held


def test_bulk_work_is_refused_first(house: House) -> None:
    assert house.fill("a", SECOND, Priority.BULK) == 7
    assert house.fill("a", SECOND) == 3
    assert house.refused == [("bulk", Priority.BULK), ("work", Priority.INTERACTIVE)]


def test_bulk_work_larger_than_its_part_is_let_in_where_there_is_no_other(house: House) -> None:
    house.ticket("a", Priority.BULK).take(Load(results=90))
    with pytest.raises(QueueFull):
        house.ticket("a", Priority.BULK).take(Load(results=1))


# When to come again.


def test_retry_after_is_when_the_work_would_fit_at_the_measured_rate(house: House) -> None:
    first = house.ticket()
    first.take(Load(microseconds=10_000_000))
    for _ in range(40):
        house.clock.now += 1
        first.give(Load(microseconds=125_000))  # an eighth of what was predicted: ten seconds now hold 1.25 of work
    with pytest.raises(QueueFull) as caught:
        house.ticket().take(SECOND)  # beside the five that are left
    told = caught.value.retry_after_s
    assert told == pytest.approx(29, abs=1)
    for _ in range(ceil(told * 1.1)):  # the rate is told right after something was done, when it looks best
        house.clock.now += 1
        first.give(Load(microseconds=125_000))
    house.ticket().take(SECOND)


def test_retry_after_before_anything_was_measured_takes_predictions_as_they_are(house: House) -> None:
    house.ticket().take(Load(microseconds=10_000_000))
    with pytest.raises(QueueFull) as caught:
        house.ticket().take(Load(microseconds=2_000_000))
    assert caught.value.retry_after_s == 2


def test_retry_after_is_never_more_than_a_minute(house: House) -> None:
    first = house.ticket()
    first.take(Load(microseconds=10_000_000))
    house.clock.now += 1000
    first.take(Load(results=100))
    with pytest.raises(QueueFull) as caught:
        house.ticket().take(Load(results=100))
    assert caught.value.retry_after_s == 60


def test_what_is_full_of_anything_is_freed_as_work_is_done(house: House) -> None:
    house.ticket().take(Load(results=100, microseconds=5_000_000))
    with pytest.raises(QueueFull) as caught:
        house.ticket().take(Load(results=40))
    assert caught.value.retry_after_s == 2  # four tenths of five seconds


def test_the_backlog_is_told_in_seconds(house: House) -> None:
    ticket = house.ticket()
    ticket.take(Load(microseconds=4_000_000))
    assert house.admission.backlog_s == pytest.approx(4)
    for _ in range(100):
        house.clock.now += 1
        ticket.give(Load(microseconds=2_000_000))
        ticket.take(Load(microseconds=2_000_000))
    assert house.admission.backlog_s == pytest.approx(2, rel=0.2)
