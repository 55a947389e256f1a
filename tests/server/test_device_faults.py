"""A device that has too little memory, or fails for good: what becomes of its batches, and what operators see."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from torch import Tensor

from augserve.wire import PROBLEM_TYPE_PREFIX
from augserve_pipelines import Pipeline
from augserve_pipelines.deferred import Deferred
from augserve_pipelines.transfer import Plans, Runs, Transfer
from augserve_pipelines.transforms import RandomResizedCrop
from augserve_server.errors import DeviceFailed, DeviceMemoryFull
from augserve_server.executor import Executor
from augserve_server.logs import Json
from augserve_server.metrics import Metrics
from augserve_server.place import Place
from augserve_server.recovery import Bound, Failover, Recovery
from augserve_server.work import OverImages
from factories import make_file, make_image, make_images
from serving import Live, run_server

CPU = torch.device("cpu")
WORK = OverImages(Pipeline([RandomResizedCrop(16)], name="test"))


class Device(Transfer):
    """Stands for a device: it has memory for so many samples at a time, and may be broken."""

    def __init__(self, room: int = 1_000) -> None:
        super().__init__(CPU)
        self.room = room
        self.broken = False
        self.asked: list[int] = []
        self.emptied = 0

    def run(self, pipeline: Runs, images: Sequence[Tensor], seeds: Sequence[int]) -> list[Tensor]:
        self.ask(seeds)
        return super().run(pipeline, images, seeds)

    def decode_and_run(
        self, pipeline: Plans, images: Sequence[Deferred], seeds: Sequence[int], *how: Any
    ) -> list[Tensor | Exception]:
        self.ask(seeds)
        return super().decode_and_run(pipeline, images, seeds, *how)

    def ask(self, seeds: Sequence[int]) -> None:
        self.asked.append(len(seeds))
        if self.broken:
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        if len(seeds) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def responds(self) -> bool:
        return not self.broken and super().responds()

    def trim(self) -> None:
        self.emptied += 1
        super().trim()


@contextmanager
def executor(device: Device, metrics: Metrics | None = None, failover: Failover = "none") -> Iterator[Executor]:
    made = Executor(CPU, device, metrics, failover)
    try:
        yield made
    finally:
        made.close()


def run(executor: Executor, images: Sequence[Tensor]) -> list[object]:
    return list(asyncio.run(executor.run(WORK, images, range(len(images)), int)))


def same(results: Sequence[object], images: Sequence[Tensor]) -> bool:
    expected = WORK.pipeline(images, range(len(images)))
    return all(
        isinstance(one, Tensor) and torch.equal(one, other) for one, other in zip(results, expected, strict=True)
    )


def test_a_batch_that_finds_no_memory_runs_in_halves_to_the_same_bytes() -> None:
    device, metrics, images = Device(room=3), Metrics(), [make_image((40, 50))] * 10
    with executor(device, metrics) as made:
        assert same(run(made, images), images)
        assert device.asked == [10, 5, 3, 2, 3, 2]
        assert device.emptied == 2
        assert metrics.registry.get_sample_value("augserve_device_oom_total") == 2


def test_what_did_not_fit_is_cut_before_it_runs_the_next_time() -> None:
    device, images = Device(room=4), [torch.zeros(3, 20, 20, dtype=torch.uint8)] * 8
    with executor(device) as made:
        run(made, images)
        device.asked.clear()
        assert same(run(made, images), images)
    assert device.asked == [4, 4]


def test_a_bound_grows_again_with_what_fits() -> None:
    bound = Bound()
    bound.lower(500)
    for _ in range(8):
        bound.passed(500)
    assert bound.pixels > 1000
    bound.passed(10)  # which says nothing about large ones
    assert bound.pixels < 1100


def test_a_sample_that_does_not_fit_alone_fails_alone() -> None:
    device, metrics = Device(), Metrics()
    device.room = 0
    with executor(device, metrics) as made:
        (failed,) = run(made, [torch.zeros(3, 1000, 2000, dtype=torch.uint8)])
        device.room = 1
        images = make_images(2)
        assert same(run(made, images), images)
    assert isinstance(failed, DeviceMemoryFull)
    assert "this sample of 2.0 megapixels alone" in failed.detail
    assert failed.headers == {"Retry-After": "1"}


def test_a_sample_that_does_not_fit_alone_runs_on_the_cpu_where_that_is_wanted() -> None:
    device, images = Device(room=0), make_images(3)
    with executor(device, failover="cpu") as made:
        assert same(run(made, images), images)
        assert not made.failed


def test_a_broken_device_is_asked_once_and_its_samples_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    device = Device()
    device.broken = True
    with executor(device) as made, caplog.at_level(logging.ERROR):
        results = [*run(made, make_images(64)), *run(made, make_images(2))]
        with pytest.raises(DeviceFailed, match="another server may answer"):
            made.check()
    assert all(isinstance(one, DeviceFailed) for one in results)
    assert device.asked == [64]
    assert device.emptied == 0  # nothing can be given back to it
    assert [record.levelname for record in caplog.records] == ["ERROR", "CRITICAL"]
    assert "restart the process" in caplog.records[1].message


def test_the_work_of_a_broken_device_goes_on_on_the_cpu_to_the_same_bytes() -> None:
    device, images = Device(), make_images(6)
    with executor(device, failover="cpu") as made:
        assert same(run(made, images), images)
        device.broken = True
        assert same(run(made, images), images)
        assert same(run(made, images), images)
        made.check()
        assert made.failed
    assert device.asked == [6, 6]


def test_an_error_that_leaves_the_device_whole_is_its_samples() -> None:
    with executor(Refusing()) as made:
        results = run(made, make_images(5))
        assert [isinstance(one, Tensor) for one in results] == [True, True, True, False, True]
        assert not made.failed


class Refusing(Device):
    """Stands for a kernel that fails on samples of one seed, and leaves the device whole."""

    def ask(self, seeds: Sequence[int]) -> None:
        if 3 in seeds:
            raise torch.AcceleratorError("CUDA error: invalid configuration argument")


@contextmanager
def serving(device: Device, folder: Path, failover: Failover) -> Iterator[Live]:
    (folder / "small.yaml").write_text("transforms: [Resize: {size: [8, 8]}]")
    with run_server(pipelines=folder, failover=failover) as live:
        live.service.executor._recovery = Recovery(Place(CPU, device), failover, live.service.metrics)
        yield live


def test_a_replica_whose_device_has_failed_says_so_everywhere(tmp_path: Path) -> None:
    device = Device()
    with serving(device, tmp_path, "none") as live, httpx.Client(base_url=live.url) as client:
        assert client.post("/v1/augment/small", content=make_file()).status_code == 200
        device.broken = True
        several = client.post("/v1/augment/small?views=4", content=make_file())
        later = client.post("/v1/augment/small", content=make_file())
        alive, ready = client.get("/healthz"), client.get("/readyz")
        assert live.metric("device_failed") == 1
    for refused in (several, later):
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["type"] == f"{PROBLEM_TYPE_PREFIX}device-failed"
    assert (alive.status_code, ready.status_code) == (503, 503)
    assert alive.json()["reasons"] == ready.json()["reasons"] == ["device cpu has failed"]
    assert device.asked == [1, 4]


def test_a_replica_that_fails_over_is_alive_and_answers_but_is_not_preferred(tmp_path: Path) -> None:
    device = Device()
    with serving(device, tmp_path, "cpu") as live, httpx.Client(base_url=live.url) as client:
        before = client.post("/v1/augment/small?seed=1", content=make_file())
        device.broken = True
        after = [client.post("/v1/augment/small?seed=1", content=make_file()) for _ in range(2)]
        alive, ready = client.get("/healthz"), client.get("/readyz")
    assert {one.content for one in after} == {before.content}
    assert alive.status_code == 200
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["device cpu has failed: its work goes on on the CPU"])


def test_the_log_names_the_requests_of_a_batch_that_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(Refusing(), tmp_path, "none") as live, caplog.at_level(logging.ERROR):
        answer = httpx.post(
            f"{live.url}/v1/augment/small?seed=2&views=3", content=make_file(), headers={"X-Request-Id": "mine"}
        )
    assert (answer.status_code, answer.headers["augserve-failed"]) == (200, "1")
    whole, alone = (json.loads(Json().format(record)) for record in caplog.records)
    assert whole.items() >= {"requests": ["mine"], "pipeline": "small", "samples": 3, "fault": "sample"}.items()
    assert alone.items() >= {"requests": ["mine"], "samples": 1}.items()
    assert "invalid configuration argument" in whole["exception"]
    assert "invalid configuration" not in answer.text
