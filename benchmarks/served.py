"""One run of a client against a server, as a row: rate, latencies, batches, bytes, what was busy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.measure import percentile
from benchmarks.serving import Counts, Running
from benchmarks.traffic import Load
from benchmarks.usage import Spent, Usage, between, gpu_samples


@dataclass(frozen=True, slots=True)
class Served:
    """How a server did under one kind of traffic."""

    task: str
    setting: str
    offered_per_second: float | None  # images that arrived in a second; None in a closed loop
    images_per_second: float
    p50_ms: float
    p99_ms: float
    failed: str
    mean_batch: float
    closed: str  # why batches took no more samples
    sent_bytes: float  # of bodies to the server, for each image
    received_bytes: float
    server_cores: float
    client_cores: float
    machine_busy: float
    gpu_busy: float | None
    bottleneck: str
    stages: str  # where requests spent their time


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what the client got, what the server counted, and what was busy."""

    load: Load
    counted: Counts
    usage: Usage

    @property
    def mean_batch(self) -> float:
        """Samples in a batch."""
        batches = self.counted.get(("augserve_batch_size_count", ""), 0.0)
        return self.counted.get(("augserve_batch_size_sum", ""), 0.0) / batches if batches else 0.0


def observe(server: Running, drive: Callable[[], Load]) -> Run:
    """Run a client, and watch the server meanwhile."""
    with gpu_samples() as gpu:
        counts, spent, start = server.counts(), Spent.now(server.pid), time.perf_counter()
        load = drive()
        seconds = time.perf_counter() - start
        after = Spent.now(server.pid)
    counted = {key: value - counts.get(key, 0.0) for key, value in server.counts().items()}
    return Run(load, counted, between(spent, after, seconds, load.cpu_s, gpu, load.clients))


def row(task: str, setting: str, runs: Sequence[Run], offered: float | None = None) -> Served:
    """Runs of one setting: latencies over all requests, everything else the median over the runs."""
    answers = [answer for run in runs for answer in run.load.answers]
    latencies = [answer.latency_s * 1000 for answer in answers if answer.images]
    images = max(1, sum(answer.images for answer in answers))
    usages = [run.usage for run in runs]
    gpu = [usage.gpu for usage in usages if usage.gpu is not None]
    usage = Usage(
        cores=usages[0].cores,
        machine=statistics.median(usage.machine for usage in usages),
        server=statistics.median(usage.server for usage in usages),
        loop=statistics.median(usage.loop for usage in usages),
        client=statistics.median(usage.client for usage in usages),
        gpu=statistics.median(gpu) if gpu else None,
        clients=usages[0].clients,
    )
    failed = statistics.median(run.load.failed for run in runs)
    return Served(
        task=task,
        setting=setting,
        offered_per_second=offered,
        images_per_second=statistics.median(run.load.images_per_second for run in runs),
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        failed=f"{failed:.1%}" if failed else "",
        mean_batch=statistics.median(run.mean_batch for run in runs),
        closed=_shares(runs, "augserve_batches_total"),
        sent_bytes=sum(answer.sent for answer in answers) / images,
        received_bytes=sum(answer.received for answer in answers) / images,
        server_cores=usage.server,
        client_cores=usage.client,
        machine_busy=usage.machine,
        gpu_busy=usage.gpu,
        bottleneck=usage.bottleneck(),
        stages=_shares(runs, "augserve_stage_seconds_sum"),
    )


def _shares(runs: Sequence[Run], metric: str) -> str:
    """What a labelled metric was counted for, largest share first."""
    sums: dict[str, float] = {}
    for run in runs:
        for (name, label), value in run.counted.items():
            if name == metric and value > 0:
                sums[label] = sums.get(label, 0.0) + value
    total = sum(sums.values())
    ordered = sorted(sums.items(), key=lambda item: -item[1])
    return ", ".join(f"{label} {value / total:.0%}" for label, value in ordered if value / total >= 0.005)
