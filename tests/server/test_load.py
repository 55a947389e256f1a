"""Many requests at once, some of them corrupt: each good one is answered with its own pixels, and memory stays flat."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import FrameType

import httpx
import numpy as np
import torch
from PIL import Image

from augserve.wire import PROBLEM, SEED_HEADER, TIMEOUT_MS_HEADER, read_npy
from augserve_server.decoding import Encoded
from augserve_server.visits import Visit
from factories import make_file, make_files
from oracle import v2
from serving import run_server, server_process

CONCURRENCY = 64
TRAIN = v2.Compose(
    [
        v2.RandomResizedCrop(224, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)
CORRUPT = [
    (make_file("JPEG", (300, 400))[:9000], 422),
    (make_file("PNG", (200, 200))[:9000], 422),
    (b"\x00" * 5000, 415),
    (b"", 400),
]


@dataclass(frozen=True)
class Asked:
    """A request: one in twenty is corrupt."""

    number: int
    data: bytes
    status: int


def requests(count: int) -> list[Asked]:
    files = make_files(40)
    return [
        Asked(i, *CORRUPT[i // 20 % len(CORRUPT)]) if i % 20 == 7 else Asked(i, files[i % len(files)], 200)
        for i in range(count)
    ]


def post_all(url: str, asked: list[Asked]) -> list[httpx.Response]:
    # fewer kept connections than threads, and httpx closes one as idle that another thread is about to use
    limits = httpx.Limits(max_keepalive_connections=CONCURRENCY)
    with (
        httpx.Client(base_url=f"{url}/v1/augment", timeout=60, limits=limits) as client,
        ThreadPoolExecutor(CONCURRENCY) as threads,
    ):

        def post(one: Asked) -> httpx.Response:
            return client.post(f"/imagenet_train?seed={one.number}&dtype=float16", content=one.data)

        return list(threads.map(post, asked))


def check(asked: list[Asked], responses: list[httpx.Response]) -> None:
    """Every answer is its own request's: the pixels of its image under its seed, or its own refusal."""
    decoded = {
        one.data: v2.functional.pil_to_tensor(Image.open(BytesIO(one.data))) for one in asked if one.status == 200
    }
    for one, response in zip(asked, responses, strict=True):
        assert response.status_code == one.status, (one.number, response.text)
        if one.status != 200:
            assert response.headers["content-type"] == PROBLEM
            continue
        assert response.headers[SEED_HEADER] == str(one.number)
        torch.manual_seed(one.number)
        expected = TRAIN(decoded[one.data]).to(torch.float16)
        np.testing.assert_array_equal(read_npy(response.content), expected.numpy())


def resident_mib(pid: int) -> float:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_a_thousand_requests_with_corrupt_ones_are_answered_right_and_memory_stays_flat() -> None:
    asked = requests(1000)
    with server_process() as (process, url):
        check(asked, post_all(url, asked))
        before = resident_mib(process.pid)
        for _ in range(2):
            post_all(url, asked[:400])
        growth = resident_mib(process.pid) - before
    assert growth < 60, "800 results of 294 KiB would be 230 MiB"


def test_nothing_that_a_request_held_waits_for_the_garbage_collector() -> None:
    data = make_file("JPEG", (400, 500))
    with run_server() as live, httpx.Client(base_url=f"{live.url}/v1/augment") as client:
        client.post("/imagenet_train", content=data)
        gc.collect()
        with uncollected() as garbage:
            statuses = [
                client.post("/imagenet_train", content=data).status_code,
                client.post("/imagenet_train", content=data[:20_000]).status_code,
                client.post("/nothing", content=data).status_code,
                client.post("/imagenet_train", content=data, headers={TIMEOUT_MS_HEADER: "1"}).status_code,
            ]
            gc.collect()
            held = [
                type(one).__name__ for one in garbage if isinstance(one, torch.Tensor | Visit | Encoded | FrameType)
            ]
    assert statuses == [200, 422, 404, 504]
    assert held == []


@contextmanager
def uncollected() -> Iterator[list[object]]:
    """The collector is off, and when it is called it keeps what it finds in the list."""
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
