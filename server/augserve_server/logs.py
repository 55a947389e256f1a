"""Log lines on standard error, for people or for machines; whatever a client put in them is escaped."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter
from typing import Any, Final, TextIO

from augserve_server.origins import origin
from augserve_server.settings import Settings

CHATTY: Final = ("uvicorn", "watchfiles", "PIL", "opentelemetry", "urllib3")
"""Of these only warnings are logged: their other lines have queries, and headers, in them."""

ACCESS: Final = "augserve.access"
"""The logger of lines about requests."""
GATHERED_S: Final = 0.05
"""How long a line about a request may wait for others."""

# Control characters of both kinds, and the separators that some readers take for line ends.
_CONTROLS: Final = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


class Sparing:
    """Lets so many lines a second through, and counts the others. Used from the event loop only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = self._lines = self._left_out = 0

    def left_out(self) -> int | None:
        """How many lines were left out before this one; None where this one is to be left out too."""
        second = int(perf_counter())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > self._most:
            self._left_out += 1
            return None
        count, self._left_out = self._left_out, 0
        return count


class Gathering(logging.StreamHandler[TextIO]):
    """Lines on standard error; those about requests that an event loop has within a moment are formatted and written
    together.

    A write apiece wakes whoever reads them as often: at 90 requests a second, that took 3 % of a processor.
    """

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, and see to it that it is written."""
        self._records.append(record)
        loop = _running_loop() if record.name == ACCESS else None
        if loop is None:
            self.flush()
        elif len(self._records) == 1:
            loop.call_later(GATHERED_S, self.flush)

    def flush(self) -> None:
        """Write what there is."""
        assert self.lock is not None
        with self.lock, suppress(OSError):  # nobody reads any more
            records, self._records = self._records, []
            lines = [line for record in records if (line := self._line(record)) is not None]
            if lines:
                self.stream.write("\n".join([*lines, ""]))
            self.stream.flush()

    def _line(self, record: logging.LogRecord) -> str | None:
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001  # as every handler does: logging never fails
            self.handleError(record)
            return None


class Text(logging.Formatter):
    """``2026-01-02T03:04:05.678Z INFO augserve.access GET /healthz 200 0.3 ms id=0123456789abcdef``."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name} {_message(record)}"
        request = _about(record).get("request")
        line = f"{line} request={request}" if request else line
        return line if not record.exc_info else f"{line}\n{self.formatException(record.exc_info)}"


class Json(logging.Formatter):
    """One JSON object a line; a request's line has its members, and others the request that they are about."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_about(record),
        }
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, default=str)


def configure_logging(settings: Settings) -> None:
    """Send this process's log where the settings say. For the process that serves, not for those that import."""
    handler = Gathering()
    handler.setFormatter(Json() if settings.log_format == "json" else Text())
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line says them
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it warns of each malformed form: clients' doing


def flush_logs() -> None:
    """Write what has not been written yet: a process that was forked ends without doing so."""
    for handler in logging.root.handlers:
        handler.flush()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _about(record: logging.LogRecord) -> Mapping[str, Any]:
    """What is known of a line beside its text: members that it was given, else the request in whose task it is."""
    given: Mapping[str, Any] | None = getattr(record, "about", None)
    if given is not None:
        return given
    request = origin().request_id
    return {"request": request} if request else {}


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    return message if message.isprintable() else message.translate(_CONTROLS)


def _time(record: logging.LogRecord) -> str:
    second, fraction = divmod(record.created, 1)
    return f"{_second(int(second))}.{int(fraction * 1000):03d}Z"


@lru_cache(4)
def _second(since_1970: int) -> str:
    """The same for many lines."""
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")
