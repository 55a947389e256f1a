"""Every request while it is here, over whatever protocol it came: its id, what it holds, its line in the log."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Final, Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.types import Scope

from augserve_server.admission import Priority, Ticket
from augserve_server.logs import ACCESS
from augserve_server.service import Service
from augserve_server.timings import Timings
from augserve_server.watched import Watch

GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
SCOPE_KEY: Final = "augserve.visit"
CROWDED_KEY: Final = "augserve.crowded"
"""Set in the scope of a request whose connection is beyond the limit."""
LINE_KEY: Final = "augserve.line"
"""In the scope: the :class:`Line` that the request came over."""
LONGEST_PATH: Final = 200

logger = logging.getLogger(ACCESS)


class Line(Protocol):
    """A connection."""

    @property
    def held_back(self) -> bool:
        """Whether its client takes less than it is sent, so that to send more is to wait."""

    def has_body_of(self, scope: Scope) -> bool:
        """Whether the whole body of a request is here, so that nobody waits who reads it."""

    def listening(self, lost: Callable[[], None]) -> AbstractContextManager[None]:
        """Within this ``lost`` is called when the connection is lost; where it has been, when the loop next turns."""

    def abort(self) -> None:
        """End it at once."""


class Visit:
    """One request, from its first moment to its last."""

    def __init__(self, method: str, path: str, carrier: Mapping[str, str], peer: str, ticket: Ticket) -> None:
        """``method`` and ``path`` as the log is to say them; ``carrier``: headers, or a call's metadata."""
        self.method = method
        self.path = path[:LONGEST_PATH]
        self.carrier = carrier
        self.ticket = ticket
        self.timings = Timings()
        self.began = perf_counter()
        self.id = _request_id(carrier.get("x-request-id", ""))
        self.peer = peer
        """The address that it comes from."""
        self.client = peer
        self.pipeline = self.error = ""
        self.results = self.failed = self.status = self.received = self.sent = 0
        self.trace_id = ""
        self.write_began: float | None = None

    @property
    def client(self) -> str:
        """Who asks, and shares with others: the peer's address, or the name of its token."""
        return self.ticket.client

    @client.setter
    def client(self, name: str) -> None:
        self.ticket.client = name

    @property
    def priority(self) -> Priority:
        """How urgent it is."""
        return self.ticket.priority

    @priority.setter
    def priority(self, priority: Priority) -> None:
        self.ticket.priority = priority

    @property
    def seconds(self) -> float:
        """Since it came."""
        return perf_counter() - self.began

    @property
    def quiet(self) -> bool:
        """Whether it is a probe: of no interest to those who read the log, and not traced."""
        return False

    @property
    def faulty(self) -> bool:
        """Whether it failed for what the server did, or lacks."""
        return self.status >= 500

    @property
    def span_name(self) -> str:
        """What its span is called: one of few names, whatever clients send."""
        return self.path

    @property
    def span_attributes(self) -> dict[str, str | int]:
        """What its span says, by the semantic conventions; nothing that a client may have put its name in."""
        return {}

    def log(self, left_out: int = 0) -> None:
        """One line about the request, and how many about others like it were left out before."""
        level = logging.DEBUG if self.quiet else logging.INFO
        if not logger.isEnabledFor(level):
            return
        about = {
            "id": self.id,
            "client": self.client,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "ms": round(self.seconds * 1000, 2),
            "pipeline": self.pipeline,
            "results": self.results,
            "failed": self.failed,
            "error": self.error,
            **({"trace": self.trace_id} if self.trace_id else {}),
            **({"left_out": left_out} if left_out else {}),
        }
        outcome = f"{self.status} {self.error}".rstrip()
        line = f"{self.method} {self.path} {outcome} {about['ms']} ms id={self.id}"
        record = logger.makeRecord(logger.name, level, __file__, 0, line, (), None, extra={"about": about})
        logger.handle(record)  # as log() does, but for the search for who called it


def visit_of(request: Request) -> Visit:
    """The visit of a request over HTTP."""
    visit: Visit = request.scope[SCOPE_KEY]
    return visit


Visiting = TypeVar("Visiting", bound=Visit)


class Counted(Generic[Visiting]):
    """A visit from its first moment to its last: in flight, with a ticket; then in the log and in the metrics."""

    def __init__(self, service: Service, begin: Callable[[Ticket], Visiting]) -> None:
        self._service = service
        self._begin = begin
        self._ticket = service.admission.ticket()
        self._watch: Watch

    def __enter__(self) -> Visiting:
        visit = self._begin(self._ticket)
        self._watch = Watch(visit, self._service)
        self._service.began()
        return visit

    def __exit__(self, *_: object) -> None:
        try:
            self._watch.end()
        finally:
            self._ticket.close()
            self._service.ended()


def _request_id(given: str) -> str:
    return given if GIVEN_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"  # no secret, and no system call
