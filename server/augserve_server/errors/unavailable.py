"""The request was fine; another time, or another server."""

from __future__ import annotations

from math import ceil
from typing import Any

from augserve_server.errors.base import ServiceError


class Unavailable(ServiceError):
    """The server cannot answer now."""

    status = 503
    slug = "unavailable"
    title = "Unavailable"

    def __init__(self, detail: str, retry_after_s: float | None = None, **members: Any) -> None:
        """``retry_after_s``: seconds after which another attempt has a chance; told as whole seconds, at least 1."""
        self.retry_after_s = None if retry_after_s is None else max(1, ceil(retry_after_s))
        super().__init__(detail, retry_after=self.retry_after_s, **members)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class QueueFull(Unavailable):
    """So much work waits that more is refused."""

    status = 429
    slug = "queue-full"
    title = "Queue full"

    def __init__(self, retry_after_s: float, limit: str | None = None) -> None:
        """``limit`` says what is full: ``"1024 images"``, ``"512 megapixels"``."""
        full = f" ({limit})" if limit else ""
        super().__init__(f"the queue is full{full}; try again later", retry_after_s, limit=limit)


class Draining(Unavailable):
    """The server is shutting down and takes no new work."""

    slug = "draining"
    title = "Draining"

    def __init__(self, retry_after_s: float = 1) -> None:
        super().__init__("the server is shutting down; another may answer", retry_after_s)


class DeviceFailed(Unavailable):
    """The device computes no more until the process is restarted; another replica's may."""

    slug = "device-failed"
    title = "Device failed"

    def __init__(self, device: str, retry_after_s: float = 1) -> None:
        super().__init__(f"device {device} has failed; another server may answer", retry_after_s)


class DeviceMemoryFull(Unavailable):
    """A sample found too little memory on the device, though nothing else was in its batch."""

    slug = "device-memory-full"
    title = "Device memory full"

    def __init__(self, device: str, megapixels: float, retry_after_s: float = 1) -> None:
        """``megapixels`` are those of the sample."""
        super().__init__(
            f"device {device} has too little memory now for this sample of {megapixels:.1f} megapixels alone; "
            "send a smaller one, or try again later",
            retry_after_s,
            value=round(megapixels, 1),
        )


class ConnectionsFull(Unavailable):
    """There are as many connections as there may be; on those beyond, only health and metrics are answered."""

    slug = "connections-full"
    title = "Connections full"

    def __init__(self, retry_after_s: float = 1) -> None:
        super().__init__("the server has as many connections as it takes; try again later", retry_after_s)


class DeadlineExceeded(Unavailable):
    """The answer was not ready in time, and the work was given up."""

    status = 504
    slug = "deadline-exceeded"
    title = "Deadline exceeded"

    def __init__(self, timeout_ms: float, stage: str | None = None) -> None:
        """``stage`` is where the time ran out: ``"decode"``, ``"queue"``, ``"run"``, ``"encode"``."""
        where = f" (in {stage})" if stage else ""
        super().__init__(
            f"the answer was not ready within {timeout_ms:g} ms{where}", field="deadline", limit=timeout_ms, stage=stage
        )
