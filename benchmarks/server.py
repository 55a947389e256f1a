"""The server against libraries in-process: JPEG files in, float16 tensors out, on all cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial

from benchmarks import machine, peers, traffic
from benchmarks.measure import Name, Rounds, Target, in_turns
from benchmarks.peers import torchvision as reference
from benchmarks.photographs import jpegs
from benchmarks.results import Section
from benchmarks.served import Run, Served, observe, row
from benchmarks.serving import Running, serving

PIPELINE = "imagenet_train"
FILES = 256
IN_FLIGHT = {64: 8, 32: 4, 1: 32}
"""Requests in flight by their number of images: enough that the server always has work."""

WIRES: Mapping[str, traffic.Options] = {"float16": {"dtype": "float16"}, "uint8 wire": {"wire": "uint8"}}
"""Forms of results: as they are used, and as few bytes as carry them, which the client makes floats of."""

OURS = "augserve serve"
WORKERS = "augserve serve --workers"
LIBRARY, SOCKETS = "Client", "plain sockets"
DALI_CPU = ("DALI, CPU, in-process", "batches of 32; not the same pixels")
AT_LEAST_DALI, AT_LEAST_SINGLES = 1.5, 0.7

ABOUT = (
    "JPEG files of 500 x 375 pixels in memory, imagenet_train, on all cores of the machine, the client's share "
    "included. A closed loop: a fixed number of requests in flight from one client process, which uses the client "
    "library (Client: results are numpy arrays in the client) or plain sockets, which send what the library sends and "
    "drop the answers. Ratios are to worker processes with Pillow and torchvision v2 that keep their results: the "
    "median over rounds in which all took turns. DALI's pixels are not torchvision's."
)
BUSY_ABOUT = (
    "The same runs, as the server saw them. The bottleneck is what is busy for 90 % of the time or more, in this "
    "order: the GPU, all cores together, the main thread of the server, the client; where there is none, requests wait "
    "for each other in the stage that takes most of their time. Cores and shares are of processor "
    "time; stages are shares of the time that requests spent in the server; bytes are those of bodies."
)


def run(rounds: int, seconds: float) -> list[Section]:
    """Compare the server with worker processes that do all of it themselves."""
    cores, files = machine.cores(), jpegs(FILES)
    with (
        serving() as server,
        serving(workers=cores) as several,
        processes(cores, partial(reference.prepare, PIPELINE)) as workers,
        processes(1) as other,
    ):
        watched = Watched(server, other, files, seconds)
        watched_several = Watched(several, other, files, seconds, f"{WORKERS} {cores}")
        contenders: dict[Name, Callable[[], float]] = {
            ("Pillow + torchvision v2", f"{cores} worker processes, kept there"): lambda: _workers(
                workers, cores, files, seconds
            ),
            ("Pillow + torchvision v2", f"DataLoader, {cores} workers, batches of 32"): lambda: reference.loader_rate(
                PIPELINE, cores, files, seconds
            ),
        }
        with processes(1) as dali:
            if peers.load("dali") is not None:
                contenders[DALI_CPU] = lambda: dali.submit(_dali, files, cores, seconds).result()
            measured = in_turns(contenders | watched.contenders() | watched_several.contenders(), rounds)
    task = f"{PIPELINE}, {cores} cores"
    met = targets(task, measured, f"{WORKERS} {cores}")
    return [
        Section.of("server", ABOUT, measured.rows(task)),
        Section.of("server, how busy", BUSY_ABOUT, watched.rows(task) + watched_several.rows(task)),
        Section.of("server targets", "Medians over the rounds of the same run.", met),
    ]


class Watched:
    """Runs against a server, kept by setting; the first of each is to warm up."""

    def __init__(
        self,
        server: Running,
        client: ProcessPoolExecutor,
        files: Sequence[bytes],
        seconds: float,
        name: str = OURS,
        *,
        pipeline: str = PIPELINE,
        clients: int = 1,
    ) -> None:
        self._name, self._pipeline = name, pipeline
        self._server, self._client, self._clients = server, client, clients
        self._files, self._seconds = files, seconds
        self._runs: dict[str, list[Run]] = {}

    def contenders(
        self, sizes: Sequence[int] = (32, 1), ways: Sequence[str] = (LIBRARY, SOCKETS)
    ) -> dict[Name, Callable[[], float]]:
        """Every form of results, number of images and way of asking, as far as there is one."""
        found: dict[Name, Callable[[], float]] = {}
        for wire, options in WIRES.items():
            for size in sizes:
                requests = self._recorded(wire, size, options)
                if requests is None:
                    continue
                flight = IN_FLIGHT.get(size, 4)
                own = -(-flight // self._clients)
                server = self._server.url, self._pipeline
                library = partial(traffic.by_library, *server, self._files, size, options, own, self._seconds)
                sockets = partial(traffic.closed, self._server.url, requests, own, self._seconds)
                for way in ways:
                    drive = {LIBRARY: library, SOCKETS: sockets}[way]
                    setting = asked(size, wire, way, own * self._clients)
                    found[self._name, setting] = partial(self._run, setting, drive)
        return found

    def rows(self, task: str) -> list[Served]:
        """What was seen of each setting."""
        prefix = self._name.removeprefix(OURS).strip()
        return [row(task, f"{prefix} {setting}".strip(), runs[1:]) for setting, runs in self._runs.items()]

    def _recorded(self, wire: str, size: int, options: traffic.Options) -> list[traffic.Request] | None:
        try:
            return traffic.recorded(self._server.url, self._pipeline, self._files, size, options)
        except TypeError as error:
            print(f"{wire} is left out: Client.augment does not take it ({error})")
            return None

    def _run(self, setting: str, drive: Callable[[], traffic.Load]) -> float:
        run = observe(self._server, lambda: self._driven(drive))
        self._runs.setdefault(setting, []).append(run)
        return run.load.images_per_second

    def _driven(self, drive: Callable[[], traffic.Load]) -> traffic.Load:
        """What all clients got, each a process of its own."""
        return traffic.Load.together(
            [one.result() for one in [self._client.submit(drive) for _ in range(self._clients)]]
        )


def asked(size: int, wire: str, way: str, in_flight: int) -> str:
    """The name of a setting."""
    images = "1 image" if size == 1 else f"{size} images"
    return f"{images} a request, {in_flight} in flight, {wire}, {way}"


def targets(task: str, measured: Rounds, workers: str) -> list[Target]:
    """What the service is to reach: against DALI's CPU pipeline, and single images against 32 a request.

    Single images may have the workers, and are held against what gets more of 32 a request, workers or one process.
    """
    found = []
    for wire in WIRES:
        for way in (LIBRARY, SOCKETS):
            many = (OURS, asked(32, wire, way, IN_FLIGHT[32]))
            single = (OURS, asked(1, wire, way, IN_FLIGHT[1]))
            if many not in measured.rates:
                continue
            if DALI_CPU in measured.rates:
                values, what = (
                    measured.ratios(many, DALI_CPU),
                    f"32 images a request over DALI's CPU pipeline, {wire}, {way}",
                )
                found.append(Target.of(task, what, values, ">=", AT_LEAST_DALI))
            values, what = measured.ratios(single, many), f"single images over 32 a request, one process, {wire}, {way}"
            found.append(Target.of(task, what, values, ">=", AT_LEAST_SINGLES))
            both = zip(
                measured.ratios((workers, single[1]), many), measured.ratios((workers, many[1]), many), strict=True
            )
            values = [few / max(1.0, some) for few, some in both]
            what = f"single images over 32 a request, {workers.removeprefix(OURS)}, {wire}, {way}"
            found.append(Target.of(task, what, values, ">=", AT_LEAST_SINGLES))
    return found


@contextmanager
def processes(count: int, prepare: Callable[[], None] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Fresh worker processes, up before anything is measured."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), prepare) as pool:
        list(pool.map(abs, range(count)))
        yield pool


def _workers(workers: ProcessPoolExecutor, cores: int, files: Sequence[bytes], seconds: float) -> float:
    return sum(workers.map(partial(reference.worker_rate, PIPELINE), [files] * cores, [seconds] * cores))


def _dali(files: Sequence[bytes], threads: int, seconds: float) -> float:
    from benchmarks.peers import dali

    return dali.cpu_rate(files, threads, seconds)
