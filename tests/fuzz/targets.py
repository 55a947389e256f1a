"""What is fuzzed, by name: how the case of a number is made, and how it is run."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fuzz import images, oip_requests, oip_server, pipelines


@dataclass(frozen=True, slots=True)
class Target:
    """How to make the case of a number, and, while it is open, how to run one and say what became of it."""

    make: Callable[[int], Any]
    opened: Callable[[], AbstractContextManager[Callable[[Any], str]]]


@contextmanager
def decoder() -> Iterator[Callable[[bytes], str]]:
    """Looks at images and decodes them; how, follows from their bytes."""
    yield lambda data: images.decode_image(data, random.Random(data))


@contextmanager
def reader() -> Iterator[Callable[[bytes], str]]:
    """Reads bodies of the Open Inference Protocol."""
    yield oip_requests.read_body


@contextmanager
def loader() -> Iterator[Callable[[bytes], str]]:
    """Loads pipeline files, and lets them open no other file, start no process and call nobody."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "fuzzed.yaml")
        for text in pipelines.corpus():  # what is imported or compiled at first use, is so now
            pipelines.load_pipeline(text, file)
        loading = False

        def refuse(event: str, arguments: tuple[Any, ...]) -> None:
            if loading and (event in FORBIDDEN or (event == "open" and str(arguments[0]) != str(file))):
                raise AssertionError(f"loading a pipeline did {event} {arguments}")

        sys.addaudithook(refuse)  # for ever: a hook cannot be taken away

        def load(text: bytes) -> str:
            nonlocal loading
            loading = True
            try:
                return pipelines.load_pipeline(text, file)
            finally:
                loading = False

        yield load


FORBIDDEN = ("os.system", "os.listdir", "os.exec", "os.fork", "os.remove", "subprocess.Popen", "socket.connect")

TARGETS: Mapping[str, Target] = {
    **{name: Target(partial(images.make_image, name), decoder) for name in images.FORMATS},
    "requests": Target(oip_requests.make_request, oip_server.serving),
    "bodies": Target(oip_requests.make_body, reader),
    "pipelines": Target(pipelines.make_pipeline, loader),
}

GUIDED = (*images.FORMATS, "bodies", "pipelines")
"""Targets whose cases are bytes, for mutations led by coverage."""


@contextmanager
def failing() -> Iterator[Callable[[str], str]]:
    """Does what no target may do, to see that it is seen."""

    def fail(how: str) -> str:
        if how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        while how == "hang":
            pass
        return how

    yield fail


PROBES: Mapping[str, Target] = {
    "crash": Target(lambda index: "crash" if index == 7 else "fine", failing),
    "hang": Target(lambda index: "hang" if index == 7 else "fine", failing),
}
"""Targets for the tests of what watches the others."""
