"""`augserve serve --workers 2`: workers that die, hang, are restarted and drained, while clients ask."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from augserve import Client
from augserve_pipelines import Pipeline
from augserve_server.errors import InvalidSettings
from augserve_server.settings import Settings
from augserve_server.workers.deaths import FREE, STILLBORN, Deaths
from augserve_server.workers.shares import Share, Shares
from augserve_server.workers.supervisor import check_together, shared
from augserve_server.workers.totals import Across, Family, from_json, lasting, since, to_json, total
from factories import make_file, make_pixels
from serving import START_S, until

PIPELINE = """\
transforms:
  - RandomResizedCrop: {size: 32}
  - RandomHorizontalFlip
"""
LOSSLESS = make_file("PNG", (40, 60))


@dataclass(frozen=True)
class Supervised:
    """A server of two workers."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def workers(self) -> list[int]:
        """Process ids of those that serve, the latest last."""
        served = map(int, re.findall(r"worker (\d+) serves", self.log.read_text()))
        return [pid for pid in served if is_running(pid)]

    def metric(self, name: str) -> float:
        """Over all workers and labels."""
        families = text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


@contextmanager
def supervised(folder: Path, **settings: object) -> Iterator[Supervised]:
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    (pipelines / "crops.yaml").write_text(PIPELINE)
    log = folder / "log"
    command = [sys.executable, "-m", "augserve_server", "serve", "--port", "0", "--device", "cpu", "--workers", "2"]
    variables = {f"AUGSERVE_{name.upper()}": str(value) for name, value in settings.items()}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, "--pipelines", str(pipelines)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **variables},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            greeting = process.stdout.readline()
            found = re.search(r"http://\S+:\d+", greeting)
            assert found, log.read_text()
            yield Supervised(process, found[0], log)
        finally:
            process.terminate()
            try:
                process.wait(START_S)
            finally:
                process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervised(tmp_path_factory.mktemp("workers"), worker_timeout_s=3) as running:
        yield running


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """What the engine makes of the picture under the seeds 0, 1, 2..."""
    file = tmp_path_factory.mktemp("pipelines") / "crops.yaml"
    file.write_text(PIPELINE)
    crops = Pipeline.load(file)
    image = torch.from_numpy(make_pixels(size=(40, 60)).copy()).permute(2, 0, 1)
    return [result.numpy() for result in crops([image] * 200, range(200))]


class Asker:
    """Asks one after another on a connection that it keeps, without retries, and counts what went wrong."""

    def __init__(self, url: str) -> None:
        self._address = url.removeprefix("http://")
        self.answered = 0
        self.failed: list[str] = []

    def ask_until(self, enough: Event) -> None:
        """Stop there, or where a new connection is refused: then nothing was lost."""
        connection = HTTPConnection(self._address, timeout=START_S)
        while not enough.is_set():
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionRefusedError:
                return
            try:
                connection.request("POST", "/v1/augment/crops?seed=1", LOSSLESS)
                response = connection.getresponse()
                response.read()
                self.answered += 1
                if response.status != 200:
                    self.failed.append(str(response.status))
            except OSError as exc:
                self.failed.append(repr(exc))
                connection.close()
        connection.close()


@contextmanager
def asking(url: str, count: int = 3) -> Iterator[list[Asker]]:
    askers, enough = [Asker(url) for _ in range(count)], Event()
    with ThreadPoolExecutor(count) as threads:
        for asker in askers:
            threads.submit(asker.ask_until, enough)
        try:
            until(lambda: all(asker.answered for asker in askers), START_S)
            yield askers
        finally:
            enough.set()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_connections_become_even(server: Supervised) -> None:
    def connections(pid: int) -> int:
        links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
        return sum(link.startswith("socket:") for link in links)

    first, second = server.workers()
    before = connections(first) - connections(second)
    with asking(server.url, 8):
        until(lambda: abs(connections(first) - connections(second) - before) <= 2, START_S)


def test_a_worker_that_is_killed_is_replaced_and_every_image_is_answered_right(
    server: Supervised, expected: list[np.ndarray]
) -> None:
    before = server.metric("augserve_results_total")
    victim = server.workers()[-1]

    def ask(seed: int) -> bool:
        if seed == 50:
            os.kill(victim, signal.SIGKILL)
        return np.array_equal(client.augment("crops", LOSSLESS, seed=seed), expected[seed])

    with Client(server.url) as client, ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(len(expected))))
    until(lambda: server.metric("augserve_workers") == 2)
    assert victim not in server.workers()
    assert f"worker {victim} was killed by SIGKILL" in server.log.read_text()
    assert server.metric("augserve_worker_deaths_total") == 1
    assert server.metric("augserve_results_total") >= before


def test_metrics_are_those_of_all_workers_and_never_fall(server: Supervised) -> None:
    assert server.metric("augserve_pipeline_reloads_total") == 1
    before = server.metric("augserve_results_total")
    for seed in range(10):
        assert httpx.post(f"{server.url}/v1/augment/crops?seed={seed}", content=LOSSLESS).status_code == 200
    assert server.metric("augserve_results_total") == before + 10
    deaths, killed = server.metric("augserve_worker_deaths_total"), server.workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(server.workers()) - set(killed)) == 2, START_S)
    assert server.metric("augserve_results_total") == before + 10
    assert server.metric("augserve_worker_deaths_total") == deaths + 2


def test_a_worker_that_hangs_is_replaced(server: Supervised) -> None:
    victim = server.workers()[-1]
    os.kill(victim, signal.SIGSTOP)
    until(lambda: f"worker {victim} hung" in server.log.read_text(), START_S)
    until(lambda: victim not in server.workers() and len(server.workers()) == 2, START_S)


def test_a_rolling_restart_loses_nothing_without_retries(server: Supervised) -> None:
    old = server.workers()
    with asking(server.url) as askers:
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "all workers are replaced" in server.log.read_text(), 2 * START_S)
    assert [asker.failed for asker in askers] == [[]] * len(askers)
    assert not any(map(is_running, old))
    assert server.metric("augserve_workers") == 2


def test_sigterm_loses_nothing_without_retries(server: Supervised) -> None:
    workers = server.workers()
    with asking(server.url) as askers:
        server.process.terminate()
        assert server.process.wait(START_S) == 0
    assert [asker.failed for asker in askers] == [[]] * len(askers)
    assert not any(map(is_running, workers))


def test_workers_end_when_nobody_keeps_them(tmp_path: Path) -> None:
    with supervised(tmp_path) as server:
        assert len(server.workers()) == 2
        server.process.kill()
        server.process.wait()
        until(lambda: not server.workers(), START_S)


def test_what_is_wrong_at_the_start_is_said_as_without_workers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "augserve_server", "serve", "--workers", "2", "--port", "0"]
    done = subprocess.run([*command, "--pipelines", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"there is no pipeline (*.yaml) to serve in the folder {str(tmp_path)!r}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_worker_with_the_fewest_connections_is_not_ahead() -> None:
    shares = Shares.create(3)
    first, second = Share(shares, 0), Share(shares, 2)
    first.begin()
    assert not first.is_ahead()
    second.begin()
    first.count(1)
    assert first.is_ahead()
    assert not second.is_ahead()
    second.end()
    assert not first.is_ahead()


@pytest.mark.parametrize(("own", "other", "excess"), [(32, 0, 16), (20, 12, 4), (17, 15, 0), (2, 0, 0), (0, 32, 0)])
def test_connections_beyond_an_even_share_are_to_move(own: int, other: int, excess: int) -> None:
    shares = Shares.create(2)
    first, second = Share(shares, 0), Share(shares, 1)
    for share, count in ((first, own), (second, other)):
        share.begin()
        share.count(count)
    assert first.excess() == excess


def test_counters_of_processes_that_ended_count_and_their_gauges_do_not() -> None:
    def families(requests: float, queue: float, share: float) -> list[Family]:
        return [
            Family("requests", "counter", "", {("requests_total", (("status", "200"),)): requests}),
            Family("queue", "gauge", "", {("queue", ()): queue}),
            Family("share", "gauge", "", {("share", ()): share}, Across.MAX),
        ]

    past = lasting(families(5, 7, 0.9))
    summed = {
        family.name: [*family.samples.values()] for family in total([past, families(1, 2, 0.5), families(1, 3, 0.25)])
    }
    assert summed == {"requests": [7], "queue": [5], "share": [0.5]}
    assert from_json(to_json(families(1, 2, 3))) == families(1, 2, 3)
    assert since(families(5, 2, 3), past) == families(0, 2, 3)


def test_deaths_in_a_row_slow_down_their_replacement_and_stillbirths_end_it() -> None:
    deaths = Deaths()
    assert [deaths.delay_s(second, served=True) for second in range(FREE)] == [0.0] * FREE
    assert [deaths.delay_s(FREE + i / 10, served=True) for i in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert deaths.delay_s(1000, served=True) == 0
    assert not deaths.hopeless
    for second in range(STILLBORN):
        deaths.delay_s(2000 + 100 * second, served=False)
    assert deaths.hopeless


def test_limits_of_the_service_are_divided_among_workers() -> None:
    settings = shared(Settings(max_requests=100, max_connections=7, queue_megapixels=10.0, decode_threads=3), 4)
    assert (settings.max_requests, settings.max_connections, settings.queue_megapixels) == (25, 2, 2.5)
    assert settings.decode_threads == 3
    assert settings.max_images == Settings().max_images


@pytest.mark.parametrize("wrong", [{"grpc_port": 0}, {"shared_memory": True}])
def test_what_several_processes_cannot_have_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings, match=next(iter(wrong))):
        check_together(Settings(workers=2, **wrong))
