"""A process that has loaded everything and serves nothing: workers are forked from it, in milliseconds, not seconds.

Run by the supervisor, as ``python -m augserve_server.workers.template CONTROL LISTENER SHARES PLACES`` with descriptors
of its end of a socket pair, of the listening socket and of the shared memory, and pickled settings on standard input.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import socket
import sys
from pathlib import Path

import torch
from fastapi import FastAPI

from augserve_pipelines.executor import end_threads, use_cores
from augserve_server.app import create_app, greeting, warn_of_exposure
from augserve_server.errors import StartError
from augserve_server.executor import choose_device
from augserve_server.listening import url_of
from augserve_server.logs import configure_logging
from augserve_server.openapi import package_version
from augserve_server.service import Service
from augserve_server.settings import Settings
from augserve_server.workers.launching import PLACE_BYTES
from augserve_server.workers.messages import Kind, encode
from augserve_server.workers.process import Worker
from augserve_server.workers.shares import Share, Shares, cores_of_each
from augserve_server.workers.totals import to_json

logger = logging.getLogger(__name__)


class Template:
    """What workers are made of. CUDA does not survive a fork: there each worker sets itself up, and takes longer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # On 2 cores, 2 workers took 5 and 12 % less processor time for a single image than with threads for 2 each.
        use_cores(cores_of_each(settings.workers or 1))
        self._app = create_app(settings) if _device(settings) == "cpu" else None
        if self._app is not None:
            _tidy()

    def app(self) -> FastAPI:
        """The app to serve, in a process of its own."""
        return create_app(self._settings) if self._app is None else self._app

    def prepare(self) -> None:
        """Take up what has changed in the folder of pipelines, and be ready to fork."""
        if self._app is not None:
            self._service.catalog.refresh()
            _tidy()

    def about(self, url: str) -> dict[str, object]:
        """What the supervisor is told: a greeting, what was counted, and whether a fork is all that it takes."""
        if self._app is None:
            greeted = f"augserve {package_version()} on {self._settings.device}: {url} ({url}/docs)"
            return {"greeting": greeted, "metrics": [], "quick": False}
        families = to_json(one for one in self._service.metrics.families() if one.lasts)
        return {"greeting": greeting(self._service, url), "metrics": families, "quick": True}

    @property
    def _service(self) -> Service:
        assert self._app is not None
        service: Service = self._app.state.service
        return service


def main(control: socket.socket, listener: socket.socket, shares: Shares, settings: Settings) -> None:
    """Load everything, then fork a worker whenever the supervisor asks, until it goes away."""
    configure_logging(settings)
    warn_of_exposure(settings)
    try:
        template = Template(settings)
    except StartError as exc:
        control.sendall(encode(Kind.FAILED, str(exc)))
        return
    control.sendall(
        encode(Kind.READY, template.about(url_of(listener, "https" if settings.tls_certificate else "http")))
    )
    while True:
        place, ends, _, _ = socket.recv_fds(control, PLACE_BYTES, 1)
        if not place:
            return
        with socket.socket(fileno=ends[0]) as end:
            template.prepare()
            if _forked():
                control.close()
                Worker(template.app(), settings, listener, end, Share(shares, int.from_bytes(place))).serve_until_told()
                return


def _forked() -> bool:
    """Whether this is the new process. It is nobody's child, so that the supervisor adopts it and learns of its end."""
    if between := os.fork():
        os.waitpid(between, 0)
        return False
    if os.fork():
        os._exit(0)
    return True


def _tidy() -> None:
    end_threads()
    if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        logger.warning("workers are forked from a process of %d threads; one is safe", threads)
    gc.collect()
    gc.freeze()  # so that no worker's collector writes to, and so copies, the memory that they share


def _device(settings: Settings) -> str:
    """The type of the device. Counting CUDA devices by NVML, as the supervisor has torch do, starts no CUDA here."""
    if settings.device == "auto" and torch.version.cuda is None:
        return "cpu"
    try:
        return choose_device(settings.device).type
    except ValueError:
        return "cpu"  # where setting up says what is wrong


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    main(
        socket.socket(fileno=given[0]),
        socket.socket(fileno=given[1]),
        Shares(given[2], given[3]),
        pickle.load(sys.stdin.buffer),
    )
