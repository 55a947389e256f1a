"""The process that keeps the workers: starts them, replaces those that die, restarts and ends them; it serves nothing.

It loads no torch, no codec and no pipeline, so that nothing which a request does can end it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from math import ceil
from time import monotonic
from typing import Final

from augserve_server.connection_limits import raise_file_limit
from augserve_server.errors import InvalidSettings, StartError
from augserve_server.listening import listen, refuse_newcomers
from augserve_server.logs import configure_logging
from augserve_server.settings import Settings
from augserve_server.workers.deaths import Deaths
from augserve_server.workers.launching import Template, Worker, WorkerLost, adopt_orphans, end_children
from augserve_server.workers.shares import Shares, cores_of_each
from augserve_server.workers.totals import Family, Samples, lasting, to_json, total

SETTLE_S: Final = 0.1
"""Time for connections that have begun to be there, after no new one may begin."""
COUNT_S: Final = 1.0
"""Longest wait for the metrics of one worker."""
RETRY_S: Final = 5.0
"""Pause before another template is started where one could not."""
END_S: Final = 5.0
"""Beyond ``drain_s``, until a worker that does not end is ended."""

DIVIDED: Final = ("max_requests", "max_connections", "queue_results", "queue_bytes")
"""Settings that bound the whole service."""

logger = logging.getLogger(__name__)


def supervise(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Serve in ``settings.workers`` processes until SIGTERM or SIGINT; the exit status.

    SIGHUP reads the settings again by ``reread`` and replaces the workers by new ones, one after another. Raises
    StartError where the service cannot be set up, OSError where the address cannot be had.
    """
    check_together(settings)
    configure_logging(settings)
    raise_file_limit(settings.max_connections + settings.reserved_connections)
    adopt_orphans()
    return asyncio.run(Supervisor(settings, listen(settings), reread).run())


def check_together(settings: Settings) -> None:
    """Raise InvalidSettings for what several processes cannot have."""
    problems = []
    if settings.grpc_port == 0:
        problems.append("grpc_port: 0 would be another port in each worker; name one")
    if settings.shared_memory and settings.workers != 1:
        problems.append(f"shared_memory: a region is known to one process, and there are {settings.workers} workers")
    if problems:
        raise InvalidSettings(problems)


class Supervisor:
    """Keeps so many workers on one socket."""

    def __init__(self, settings: Settings, listener: socket.socket, reread: Callable[[], Settings]) -> None:
        self._target = settings.workers or 1
        self._settings = settings
        self._listener = listener
        self._reread = reread
        self._shares = Shares.create(2 * self._target + 2)  # beside each, one that leaves; and one in reserve
        self._places = set(range(self._shares.places))
        self._template = _Templates()
        self._answers: set[asyncio.Task[None]] = set()
        self._serving: list[Worker] = []
        self._reserve: Worker | None = None
        self._alive: dict[Worker, asyncio.Task[None]] = {}
        self._deaths = Deaths()
        self._delay_s = 0.0
        self._missing, self._stop, self._insist, self._renew = (asyncio.Event() for _ in range(4))
        self._asking = asyncio.Lock()
        self._past: list[Family] = []

    async def run(self) -> int:
        """Serve until told to stop. The exit status: 1 where workers do not start."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._renew.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        tasks = [asyncio.create_task(work()) for work in (self._keep_full, self._keep_template, self._keep_new)]
        stop = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, stop):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._end()
        for task in done - {stop}:
            task.result()  # raises why it ended
        return 1 if self._deaths.hopeless else 0

    async def _keep_template(self) -> None:
        """Have a process to fork workers from, always. Raises StartError where the first cannot start."""
        first = await self._start_template(self._settings)
        self._past = list(first.metrics)
        self._template.use(first)
        while True:
            template = await self._template.get()
            await template.gone()
            if self._template.lost(template):
                logger.error("the process that workers are made of has ended; another is started")
                self._template.use(await self._persist())

    async def _persist(self) -> Template:
        while True:
            try:
                return await self._start_template(self._settings)
            except StartError as exc:
                logger.error("it cannot start: %s", exc)
                await asyncio.sleep(RETRY_S)

    async def _keep_full(self) -> None:
        """Replace workers that have ended, for ever."""
        greeted = False
        while not self._deaths.hopeless:
            while missing := max(0, self._target - len(self._serving)):
                await asyncio.gather(*(self._replace() for _ in range(missing)))
            self._missing.clear()
            if not greeted:
                print((await self._template.get()).greeting, flush=True)
                greeted = True
            await self._stock()
            await self._missing.wait()

    async def _replace(self) -> None:
        began = monotonic()
        await asyncio.sleep(self._delay_s)
        try:
            worker = await self._launch()
        except WorkerLost as exc:
            self._lost(str(exc), served=False)
        else:
            logger.info("worker %d serves, after %.2f s", worker.pid, monotonic() - began)

    async def _launch(self) -> Worker:
        """A worker that serves. Raises WorkerLost where it does not come to that."""
        worker, self._reserve = self._reserve, None
        if worker is None:
            worker = await self._fork()
        worker.go()
        await _first(worker.serving, worker.ended)
        if worker.ended.is_set():
            raise WorkerLost(f"worker {worker.pid} {worker.fate} before it served")
        self._serving.append(worker)
        self._delay_s = 0.0
        return worker

    async def _fork(self) -> Worker:
        template = await self._template.get()
        place = self._places.pop()
        try:
            worker = await template.fork(place, self._shares, self._ended)
        except BaseException:
            self._places.add(place)
            raise
        worker.on_sum = self._sum_for
        self._alive[worker] = asyncio.create_task(worker.watch(self._settings.worker_timeout_s))
        return worker

    async def _stock(self) -> None:
        """Keep one in reserve where a new one takes long."""
        if self._reserve is None and not self._template.quick:
            try:
                self._reserve = await self._fork()
            except WorkerLost as exc:
                self._lost(str(exc), served=False)

    def _ended(self, worker: Worker) -> None:
        self._alive.pop(worker, None)
        self._places.add(worker.place)
        self._past = total([self._past, lasting(worker.metrics)])
        if worker is self._reserve:
            self._reserve = None
        if worker in self._serving:
            self._serving.remove(worker)
            self._lost(f"worker {worker.pid} {worker.fate}, after {monotonic() - worker.began:.1f} s", served=True)

    def _lost(self, what: str, served: bool) -> None:
        """A worker died that was to serve."""
        self._delay_s = self._deaths.delay_s(monotonic(), served)
        if self._stop.is_set():
            return
        if self._deaths.hopeless:
            logger.critical("%s; %d in a row did not come to serve: giving up", what, self._deaths.unborn)
            self._stop.set()
        elif self._delay_s:
            logger.error("%s; workers die in a row, so the next one starts in %g s", what, self._delay_s)
        else:
            logger.error("%s; another takes its place", what)
        self._missing.set()

    async def _keep_new(self) -> None:
        """Replace all workers whenever that is asked for."""
        while True:
            await self._renew.wait()
            self._renew.clear()
            await self._template.get()
            try:
                self._settings = self._reread()
                new = await self._start_template(self._settings)
            except StartError as exc:
                logger.error("the workers are not replaced: %s", exc)
                continue
            self._template.use(new)
            await self._replace_all()
            self._missing.set()  # whoever died meanwhile, and the one in reserve

    async def _replace_all(self) -> None:
        """One after another: a new one serves before an old one leaves."""
        if self._reserve is not None:
            self._reserve.drain()
            self._reserve = None
        old = list(self._serving)
        for worker in old:
            if worker not in self._serving:
                continue
            try:
                await self._launch()
            except WorkerLost as exc:
                logger.error("the other workers are not replaced: %s", exc)
                return
            if worker in self._serving:
                self._serving.remove(worker)
                worker.drain()
                await self._gone([worker])
        logger.info("all workers are replaced")

    async def _end(self) -> None:
        """Let every worker finish what it has; no connection that has begun is cut."""
        refuse_newcomers(self._listener)
        if self._alive:
            await asyncio.sleep(SETTLE_S)
        self._template.close()
        self._listener.close()
        self._serving.clear()
        for worker in list(self._alive):
            worker.drain()
        insisting = asyncio.create_task(self._drain_when_insisted())
        await self._gone(list(self._alive))
        insisting.cancel()
        end_children()

    async def _drain_when_insisted(self) -> None:
        await self._insist.wait()
        for worker in list(self._alive):
            worker.drain()

    async def _gone(self, workers: Sequence[Worker]) -> None:
        """Wait until these have ended, and end those that take too long."""
        try:
            async with asyncio.timeout(self._settings.drain_s + END_S):
                await asyncio.gather(*(worker.ended.wait() for worker in workers))
        except TimeoutError:
            for worker in workers:
                worker.kill()
            await asyncio.gather(*(worker.ended.wait() for worker in workers))

    def _told_to_stop(self) -> None:
        (self._insist if self._stop.is_set() else self._stop).set()

    def _start_template(self, settings: Settings) -> Coroutine[None, None, Template]:
        return Template.start(shared(settings, self._target), self._listener, self._shares)

    def _sum_for(self, asker: Worker) -> None:
        task = asyncio.create_task(self._answer(asker))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, asker: Worker) -> None:
        async with self._asking:
            alive = list(self._alive)
            counted = await asyncio.gather(*(worker.count(COUNT_S) for worker in alive))
            # Whoever ended meanwhile is in the past by now.
            parts = [one for worker, one in zip(alive, counted, strict=True) if worker in self._alive]
            asker.send_sum(to_json(total([self._past, self._own(), *parts])))

    def _own(self) -> list[Family]:
        deaths: Samples = {("augserve_worker_deaths_total", ()): float(self._deaths.total)}
        serving: Samples = {("augserve_workers", ()): float(len(self._serving))}
        return [
            Family("augserve_workers", "gauge", "Workers that serve", serving),
            Family("augserve_worker_deaths", "counter", "Workers that died unasked", deaths),
        ]


class _Templates:
    """The process that workers are forked from now, or none while another one starts."""

    def __init__(self) -> None:
        self._current: Template | None = None
        self._there = asyncio.Event()

    async def get(self) -> Template:
        """It, as soon as there is one."""
        await self._there.wait()
        assert self._current is not None
        return self._current

    @property
    def quick(self) -> bool:
        """Whether a fork is all that a worker needs."""
        return self._current is None or self._current.quick

    def use(self, template: Template) -> None:
        """Fork from this one from now on; the one before may end."""
        self.close()
        self._current = template
        self._there.set()

    def lost(self, template: Template) -> bool:
        """This one has ended; whether it was in use."""
        if template is not self._current:
            return False
        self._current = None
        self._there.clear()
        return True

    def close(self) -> None:
        """Let it end."""
        if self._current is not None:
            self._current.close()


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of these is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def shared(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many workers: limits of the whole service are divided among them."""
    cores = cores_of_each(workers)
    parts = {name: max(1, ceil(getattr(settings, name) / workers)) for name in DIVIDED}
    threads = {name: getattr(settings, name) or cores for name in ("decode_threads", "encode_threads")}
    megapixels = settings.queue_megapixels / workers
    return settings.model_copy(update={**parts, **threads, "queue_megapixels": megapixels})
