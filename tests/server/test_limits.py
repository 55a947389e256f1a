"""Clients that are slow, many or twisted: time limits, connections, and requests that two servers might read apart."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator

import httpx
import pytest

from augserve_server.connection_limits import OTHER_FILES, ConnectionLimits, raise_file_limit
from augserve_server.http_visits import Pace
from factories import make_file
from serving import Live, busy_device, run_server, until
from wires import GET_HEALTH, answer, connect, drip, ended, head, pause

PICTURE = make_file("JPEG", (60, 80))


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(max_body_chunks=300) as server:
        yield server


# Slow. (What sends nothing at all is in test_overload.)


@pytest.fixture(scope="module")
def impatient() -> Iterator[Live]:
    with run_server(head_timeout_s=0.3, body_timeout_s=0.3, body_idle_timeout_s=5, keep_alive_s=1) as server:
        yield server


def test_a_head_that_drips_is_cut_off_in_time(impatient: Live) -> None:
    with connect(impatient) as connection:
        assert drip(connection, b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 1000) < 5
        assert ended(connection)


def test_a_body_that_drips_is_cut_off_in_time(impatient: Live) -> None:
    with connect(impatient) as connection:
        connection.sendall(head("Content-Length: 1000"))
        drip(connection, PICTURE[:1000])
        assert ended(connection)
    until(lambda: impatient.metric("failures_total", error="body-timeout") == 1)


def test_an_idle_connection_is_closed_in_time(impatient: Live) -> None:
    with connect(impatient) as connection:
        connection.sendall(GET_HEALTH)
        assert answer(connection)[0] == 200
        assert ended(connection)


def test_an_answer_that_is_taken_too_slowly_is_given_up() -> None:
    with run_server(write_timeout_s=0.4, min_answer_bytes_per_s=10**9) as live:
        with connect(live, receive_buffer=4096) as connection:
            connection.sendall(
                head(f"Content-Length: {len(PICTURE)}", path="/v1/augment/imagenet_train?views=64") + PICTURE
            )
            until(lambda: live.metric("results_total", pipeline="imagenet_train") == 64)
            while not _cut(connection):
                pause(0.05)  # a little now and then: the kernel sees a client that reads
            until(lambda: live.metric("requests_in_flight") == 0)
            assert live.metric("queue_bytes") == 0
        assert httpx.get(f"{live.url}/healthz").status_code == 200


def _cut(connection: socket.socket) -> bool:
    try:
        return not connection.recv(512)
    except ConnectionResetError:
        return True


def test_a_large_answer_may_take_longer_than_a_small_one() -> None:
    pace = Pace(30, 65_536)
    assert pace.seconds_for(0) == 30
    assert pace.seconds_for(65_536 * 100) == 130


# Many.


def test_beyond_the_limit_only_health_and_metrics_are_answered() -> None:
    with run_server(max_connections=2) as live, connect(live) as first, connect(live) as second:
        for connection in (first, second):
            connection.sendall(GET_HEALTH)
            assert answer(connection)[0] == 200
        for path in ("/healthz", "/readyz", "/metrics"):
            with connect(live) as third:
                third.sendall(head(method="GET", path=path))
                status, response, _ = answer(third)
                assert (status, response.headers["connection"]) == (200, "close")
                assert ended(third)
        for method, path in (("GET", "/v1/pipelines"), ("POST", "/v1/augment/thumbnail"), ("GET", "/nowhere")):
            with connect(live) as third:
                third.sendall(head(method=method, path=path))
                status, response, body = answer(third)
                assert (status, response.headers["connection"], response.headers["retry-after"]) == (503, "close", "1")
                assert b"connections-full" in body
                assert ended(third)
        first.sendall(head(method="GET", path="/v1/pipelines"))
        assert answer(first)[0] == 200
        first.close()
        until(lambda: httpx.get(f"{live.url}/v1/pipelines").status_code == 200)


def test_whoever_fills_the_reserve_keeps_nobody_out() -> None:
    with run_server(max_connections=1, reserved_connections=2) as live, connect(live) as first:
        first.sendall(GET_HEALTH)
        assert answer(first)[0] == 200
        with connect(live) as oldest, connect(live) as older, connect(live) as newest:
            newest.sendall(GET_HEALTH)
            assert answer(newest)[0] == 200
            assert ended(oldest)
            older.sendall(GET_HEALTH)
            assert answer(older)[0] == 200


def test_one_address_may_have_its_share_of_connections() -> None:
    with run_server(max_peer_connections=2) as live, connect(live) as first, connect(live) as second:
        for connection in (first, second):
            connection.sendall(GET_HEALTH)
            assert answer(connection)[0] == 200
        with connect(live) as third:
            assert ended(third)
        first.close()
        until(lambda: _answers(live))


def _answers(live: Live) -> bool:
    try:
        return httpx.get(f"{live.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_connections_that_are_gone_are_counted_no_more() -> None:
    connections, closed = ConnectionLimits(1, 1, 3), list[str]()
    assert connections.open("a", "peer", lambda: closed.append("a"))
    assert not connections.open("b", "peer", lambda: closed.append("b"))
    assert not connections.open("c", "peer", lambda: closed.append("c"))
    assert closed == ["b"]
    assert not connections.open("d", "peer", lambda: closed.append("d"))
    assert closed == ["b", "d"]
    for gone in "abcd":
        connections.closed(gone, "peer")
    assert connections == ConnectionLimits(1, 1, 3)


# Twisted.


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
        head("Transfer-Encoding: chunked", "Content-Length: 4") + b"0\r\n\r\n" + SMUGGLED,
        head("Content-Length: 4", "Content-Length: 5") + b"12345",
        head("Content-Length: 4", "Content-Length: 4") + b"1234",
        head("Content-Length: 4, 4") + b"1234",
        head("Content-Length: +4") + b"1234",
        head("Content-Length: -1") + b"1234",
        head("Content-Length: 0x4") + b"1234",
        head("Content-Length: 99999999999999999999999") + b"1234",
        head("Content-Length : 4") + b"1234",
        head("Content-Length: 4", " folded: yes") + b"1234",
        head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + SMUGGLED,
        head("Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED,
        head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n" + SMUGGLED,
        head("Transfer-Encoding: chunked") + b"zz\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"-1\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"0x1\r\nx\r\n",
        head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n",
        head("Transfer-Encoding: chunked") + b"1\r\nxx\r\n0\r\n\r\n",
        head("Transfer-Encoding: chunked") + b"1\nx\n0\n\n",
        head("Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\nAuthorization: Bearer trailer\r\n\r\n",
        head("Nul: a\0b"),
        head("Bad Name: x"),
        b"GET /healthz HTTP/1.1\nHost: test\n\n" + SMUGGLED,
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.com:80 HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=repr,
)
def test_requests_that_could_be_read_in_two_ways_are_refused(live: Live, request_bytes: bytes) -> None:
    with connect(live) as connection:
        connection.sendall(request_bytes)
        status, response, _ = answer(connection)
        assert status == 400
        assert response.headers["connection"] == "close"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert connection.recv(1) == b""  # one answer, and no more


def test_a_flood_of_tiny_chunks_is_refused(live: Live) -> None:
    with connect(live) as connection:
        connection.sendall(head("Transfer-Encoding: chunked") + b"1\r\nx\r\n" * 200)
        connection.sendall(b"1\r\nx\r\n" * 200)
        assert answer(connection)[0] == 400


@pytest.mark.parametrize("flood", [b"1;" + b"x" * 70_000, b"0\r\n" + b"x" * 70_000, b"0\r\nx: " + b"y" * 70_000])
def test_neither_extensions_of_chunks_nor_trailers_grow_for_ever(live: Live, flood: bytes) -> None:
    with connect(live) as connection:
        connection.sendall(head("Transfer-Encoding: chunked"))
        for start in range(0, len(flood), 10_000):
            try:
                connection.sendall(flood[start : start + 10_000])
            except (BrokenPipeError, ConnectionResetError):
                return
        assert ended(connection)


def test_a_flood_of_pipelined_requests_is_cut_off_and_a_few_are_answered_in_order(live: Live) -> None:
    with connect(live) as connection:
        connection.sendall(GET_HEALTH * 20 + head(method="GET", path="/nowhere"))
        statuses = [answer_line(connection) for _ in range(21)]
    assert statuses == [200] * 20 + [404]
    with busy_device(live), connect(live) as connection:
        connection.sendall(head(f"Content-Length: {len(PICTURE)}") + PICTURE)
        until(lambda: live.metric("requests_in_flight") == 2)
        connection.sendall(GET_HEALTH * 100)
        assert connection.recv(1) == b""  # not even a refusal: it would be taken for the answer to the first


def answer_line(connection: socket.socket) -> int:
    """The status of one of several answers in a row, byte for byte."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += connection.recv(1)
    size = next(int(line.split(b":")[1]) for line in data.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while size:
        size -= len(connection.recv(size))
    return int(data.split()[1])


def test_the_process_allows_itself_the_files_that_its_connections_need(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 1024), before[1]))
        raise_file_limit(1200)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(1200 + OTHER_FILES, before[1])
        raise_file_limit(1)  # and takes nothing back
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(1200 + OTHER_FILES, before[1])
        if before[1] != resource.RLIM_INFINITY:
            raise_file_limit(before[1])
            assert "max_connections needs" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
