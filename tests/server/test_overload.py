"""When there is too much, too slow, or nobody left to answer: full queues, deadlines, clients that go, and the end."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from augserve.wire import TIMEOUT_MS_HEADER, read_npy
from factories import make_file
from serving import Live, busy_decoders, busy_device, run_server, server_process, until
from wires import answer, connect, ended, head

SMALL = make_file("JPEG", (60, 80))  # decoded when its batch runs
EARLY = make_file("PNG", (60, 80))  # decoded before: what is drawn for it waits for its orientation


def post(live: Live, data: bytes = SMALL, pipeline: str = "imagenet_train", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{live.url}/v1/augment/{pipeline}?seed=1", content=data, headers=named, timeout=30)


@contextmanager
def client_socket(live: Live) -> Iterator[socket.socket]:
    """A connection of one's own."""
    with socket.create_connection(live.address, timeout=10) as connection:
        yield connection


def request_head(length: int, *headers: str, pipeline: str = "imagenet_train") -> bytes:
    lines = [f"POST /v1/augment/{pipeline} HTTP/1.1", "Host: test", f"Content-Length: {length}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def answer_on(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and document of the answer that comes on a connection."""
    response = HTTPResponse(connection)
    response.begin()
    document: dict[str, Any] = json.loads(response.read())
    return response.status, document


def computed(live: Live) -> float:
    """Samples of imagenet_train that went to the device."""
    return live.metric("batch_size_sum", pipeline="imagenet_train")


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


# Full.


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(workers: ThreadPoolExecutor) -> None:
    with run_server(queue_results=4) as live:
        with busy_device(live):
            accepted = [workers.submit(post, live) for _ in range(3)]
            until(lambda: live.metric("queue_results") == 4)
            refused = post(live)
            ready = httpx.get(f"{live.url}/readyz")
        answers = [future.result() for future in accepted]
        until(lambda: live.metric("queue_results") == 0)
        again = post(live)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["type"].endswith("queue-full")
    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["the queue is 100% full"]
    assert [answer.status_code for answer in [*answers, again]] == [200] * 4


def test_a_queue_is_full_of_megapixels_too(workers: ThreadPoolExecutor) -> None:
    with run_server(queue_megapixels=0.5) as live, busy_device(live) as released:
        first = workers.submit(post, live, make_file("PNG", (600, 700)))
        until(lambda: live.metric("queue_megapixels") > 0.4)
        assert post(live, make_file("PNG", (300, 300))).status_code == 429
        small = workers.submit(post, live)
        released.set()
        assert first.result().status_code == small.result().status_code == 200


def test_too_many_requests_are_refused_before_their_bodies_are_read(workers: ThreadPoolExecutor) -> None:
    with run_server(max_requests=3) as live, busy_device(live) as released:
        accepted = [workers.submit(post, live) for _ in range(2)]
        until(lambda: live.metric("requests_in_flight") == 3)
        with client_socket(live) as connection:
            connection.sendall(request_head(1_000_000))
            assert answer_on(connection)[0] == 429
        released.set()
        assert [future.result().status_code for future in accepted] == [200, 200]


def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# Late.


def test_a_small_body_that_is_refused_is_let_go_by_and_its_connection_stays() -> None:
    with run_server(max_requests=1) as live, busy_device(live), connect(live) as connection:
        for _ in range(2):
            connection.sendall(head("Content-Length: 300000"))
            status, response, _ = answer(connection)
            assert (status, response.headers["connection"]) == (429, None)
            connection.sendall(bytes(300_000))


def test_a_refused_body_that_never_comes_ends_its_connection() -> None:
    with run_server(max_requests=1, body_idle_timeout_s=0.2) as live, busy_device(live), connect(live) as connection:
        connection.sendall(head("Content-Length: 300000") + b"x")
        assert answer(connection)[0] == 429
        assert ended(connection)


def test_a_deadline_while_the_decoders_are_busy_leaves_the_image_undecoded() -> None:
    with run_server(decode_threads=1) as live:
        with busy_decoders(live, 1):
            response = post(live, EARLY, **{TIMEOUT_MS_HEADER: "60"})
            assert live.metric("queue_results") == 0
        problem = response.json()
        assert (response.status_code, problem["type"].rpartition(":")[2]) == (504, "deadline-exceeded")
        assert (problem["limit"], problem["stage"]) == (60, "decode")
        assert post(live).status_code == 200
        assert live.metric("decoded_images_total") == 1
        assert computed(live) == 1


def test_a_deadline_while_the_device_is_busy_leaves_the_image_out_of_the_batch() -> None:
    with run_server() as live:
        with busy_device(live):
            response = post(live, **{TIMEOUT_MS_HEADER: "60"})
            assert live.metric("queue_results") == 1  # the one that runs
        assert (response.status_code, response.json()["stage"]) == (504, "run")
        assert post(live).status_code == 200
        assert computed(live) == 1
        assert live.metric("decoded_images_total") == 2  # that of the busy device, and the last one
        assert live.metric("wasted_megapixels_total", stage="run") == 0


def test_the_default_deadline_is_a_setting(workers: ThreadPoolExecutor) -> None:
    with run_server(deadline_ms=60) as live, busy_device(live):
        assert post(live).status_code == 504


def test_a_deadline_holds_while_the_body_comes() -> None:
    with run_server() as live, client_socket(live) as connection:
        connection.sendall(request_head(1000, f"{TIMEOUT_MS_HEADER}: 50") + b"x")
        status, problem = answer_on(connection)
    assert (status, problem["stage"]) == (504, "read")


# Gone.


def test_an_image_whose_client_has_gone_is_not_decoded() -> None:
    with run_server(decode_threads=1) as live:
        with busy_decoders(live, 1):
            with client_socket(live) as connection:
                connection.sendall(request_head(len(EARLY)) + EARLY)
                until(lambda: live.metric("queue_results") == 1)
            until(lambda: live.metric("queue_results") == 0)
        assert post(live).status_code == 200
        assert live.metric("requests_total", pipeline="imagenet_train", status="499") == 1
        assert live.metric("decoded_images_total") == 1
        assert computed(live) == 1


def test_an_image_whose_client_has_gone_is_taken_out_of_the_forming_batch() -> None:
    with run_server() as live:
        with busy_device(live):
            with client_socket(live) as connection:
                connection.sendall(request_head(len(SMALL)) + SMALL)
                until(lambda: live.metric("queue_results") == 2)
            until(lambda: live.metric("queue_results") == 1)
        assert post(live).status_code == 200
        assert live.metric("requests_total", pipeline="imagenet_train", status="499") == 1
        assert computed(live) == 1
        assert live.metric("decoded_images_total") == 2  # that of the busy device, and the last one
        assert live.metric("wasted_megapixels_total", stage="run") == 0


# Slow, large.


def test_a_body_over_the_limit_is_answered_before_it_is_sent() -> None:
    with run_server() as live, client_socket(live) as connection:
        connection.sendall(request_head(10**12))
        status, problem = answer_on(connection)
    assert (status, problem["type"].rpartition(":")[2], problem["value"]) == (413, "body-too-large", 10**12)


def test_the_sender_of_a_large_body_gets_to_read_the_answer() -> None:
    with run_server(max_body_bytes=1_000_000, max_image_bytes=1_000_000) as live:
        for _ in range(5):
            response = post(live, b"x" * 8_000_000)
            assert (response.status_code, response.json()["limit"]) == (413, 1_000_000)


def test_a_chunked_body_is_counted_as_it_comes() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield b"x" * 20_000

    with run_server(max_image_bytes=1_000_000) as live:
        response = httpx.post(f"{live.url}/v1/augment/thumbnail", content=endless())
    assert (response.status_code, response.json()["measure"]) == (413, "bytes")
    assert response.json()["value"] <= 1_000_000 + 2 * 256 * 1024  # the event loop reads 256 KiB at a time


def test_a_body_that_stalls_is_given_up() -> None:
    with run_server(body_idle_timeout_s=0.1) as live, client_socket(live) as connection:
        connection.sendall(request_head(1000) + b"x")
        assert answer_on(connection)[0] == 408


@pytest.mark.parametrize("sent", [b"", b"POST /v1/augment/thumbnail HTTP/1.1\r\nHost:", b"\r\n"])
def test_a_head_that_stalls_is_cut_off(sent: bytes) -> None:
    with run_server(head_timeout_s=0.1) as live, client_socket(live) as connection:
        connection.sendall(sent)
        assert _closed(connection)


def test_a_second_head_that_stalls_is_cut_off() -> None:
    with run_server(head_timeout_s=0.2, keep_alive_s=60) as live, client_socket(live) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert answer_on(connection)[0] == 200
        connection.sendall(b"GET /healthz HT")
        assert _closed(connection)


def test_neither_a_long_answer_nor_an_idle_connection_is_cut_off_as_a_stalled_head() -> None:
    with run_server(head_timeout_s=0.5, keep_alive_s=60) as live, client_socket(live) as connection:
        with busy_device(live):
            connection.sendall(request_head(len(SMALL)) + SMALL)
            until(lambda: live.metric("queue_results") == 2)
            let_a_head_time_out(live)
        response = HTTPResponse(connection)
        response.begin()
        assert (response.status, len(response.read())) == (200, 3 * 224 * 224 * 4 + 128)
        let_a_head_time_out(live)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
        assert answer_on(connection)[0] == 200


def let_a_head_time_out(live: Live) -> None:
    """Wait until two connections, one after the other, have been cut off for saying nothing."""
    for _ in range(2):
        with client_socket(live) as silent:
            assert _closed(silent)


def test_an_endless_head_is_cut_off() -> None:
    with run_server() as live, client_socket(live) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: test\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall((b"X-More: " + b"x" * 10_000 + b"\r\n") * 5000)


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    big = make_file("JPEG", (60, 80))
    with run_server(write_timeout_s=0.5) as live:
        with client_socket(live) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = request_head(len(big)).replace(b"imagenet_train", b"imagenet_train?views=64")
            connection.sendall(head + big)
            until(lambda: live.metric("results_total", pipeline="imagenet_train") == 64)
            until(lambda: live.metric("requests_in_flight") == 0)
        assert post(live).status_code == 200


# The end.


def test_draining_finishes_what_was_accepted_and_takes_no_more(workers: ThreadPoolExecutor) -> None:
    with run_server() as live, httpx.Client(base_url=live.url) as other:
        assert other.get("/readyz").json() == {"status": "ready", "reasons": []}
        with busy_device(live):
            accepted = [workers.submit(post, live) for _ in range(3)]
            until(lambda: live.metric("queue_results") == 4)
            live.drain()
            until(lambda: live.service.draining)
            ready, refused = other.get("/readyz"), other.post("/v1/augment/thumbnail", content=SMALL)
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        answers = [future.result() for future in accepted]
    assert [read_npy(answer.content).shape for answer in answers] == [(3, 224, 224)] * 3


def test_sigterm_ends_the_process_once_it_has_answered(workers: ThreadPoolExecutor) -> None:
    data = make_file("JPEG", (1500, 2000))
    with server_process() as (process, url):
        many = [("image", ("a.jpg", data))] * 12
        asked = [
            workers.submit(httpx.post, f"{url}/v1/augment/imagenet_train", files=many, timeout=60) for _ in range(3)
        ]
        until(lambda: _sample(url, "augserve_decoded_images_total") > 24, seconds=30)  # all three are accepted
        process.send_signal(signal.SIGTERM)
        assert [future.result().status_code for future in asked] == [200] * 3
        assert process.wait(30) == 0


def _sample(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_a_drain_is_bounded() -> None:
    with run_server(drain_s=0.1) as live, client_socket(live) as connection:
        connection.sendall(request_head(1000) + b"x")
        until(lambda: live.metric("requests_in_flight") == 1)
        live.drain()
        assert answer_on(connection)[0] == 503


# Changes while it runs.


def test_a_change_of_a_file_is_served_within_a_second(tmp_path: Path) -> None:
    (tmp_path / "flip.yaml").write_text("description: one\ntransforms: [RandomHorizontalFlip]")
    with run_server(pipelines=tmp_path, reload=True) as live, httpx.Client(base_url=live.url) as client:

        def described() -> dict[str, Any]:
            found: dict[str, Any] = client.get("/v1/pipelines/flip").json()
            return found

        assert (described()["description"], described()["revision"]) == ("one", 1)
        (tmp_path / "flip.yaml").write_text("description: two\ntransforms: [RandomHorizontalFlip]")
        until(lambda: described()["description"] == "two", 1.0)
        assert described()["revision"] == 2
        (tmp_path / "flip.yaml").write_text("transforms: [RandomHorizontalFlop]")
        until(lambda: bool(client.get("/v1/pipelines").json()["problems"]), 1.0)
        (problem,) = client.get("/v1/pipelines").json()["problems"]
        assert problem["file"] == "flip.yaml"
        assert "did you mean 'RandomHorizontalFlip'" in problem["message"]
        assert described()["description"] == "two"
        assert live.metric("pipeline_problems") == 1
        assert live.metric("pipeline_reloads_total", outcome="bad") == 1
        (tmp_path / "new.yaml").write_text("transforms: [RandomVerticalFlip]")
        until(lambda: client.get("/v1/pipelines/new").status_code == 200, 1.0)
        (tmp_path / "new.yaml").unlink()
        until(lambda: client.get("/v1/pipelines/new").status_code == 404, 1.0)


def test_a_request_keeps_the_pipeline_that_it_began_with(tmp_path: Path, workers: ThreadPoolExecutor) -> None:
    (tmp_path / "flip.yaml").write_text("transforms: [RandomHorizontalFlip: {p: 0}]")
    with run_server(pipelines=tmp_path) as live:
        before = live.service.catalog["flip"].pipeline.fingerprint
        with busy_device(live, "flip"):
            asked = workers.submit(post, live, pipeline="flip", Accept="application/x-npy")
            until(lambda: live.metric("queue_results") == 2)
            (tmp_path / "flip.yaml").write_text("transforms: [RandomHorizontalFlip: {p: 1}]")
            live.service.catalog.refresh()
            later = workers.submit(post, live, pipeline="flip", Accept="application/x-npy")
            until(lambda: live.metric("queue_results") == 3)
        old, new = asked.result(), later.result()
    assert old.headers["augserve-fingerprint"] == before != new.headers["augserve-fingerprint"]
    np.testing.assert_array_equal(read_npy(old.content)[:, :, ::-1], read_npy(new.content))
