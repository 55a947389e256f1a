"""The pipeline in this process, for while the service is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from augserve.client import Client
from augserve.errors import AugserveError
from augserve.requests import DType

logger = logging.getLogger(__name__)


class InProcess(Protocol):
    """What augments without the service: ``augserve_server.in_process.InProcess`` does, with the same bytes."""

    @property
    def fingerprint(self) -> str:
        """Of the pipeline: the service's must be the same."""

    def augment(
        self, files: Sequence[bytes], seeds: Sequence[int], dtype: DType | None = None
    ) -> Sequence[Tensor | Exception]:
        """The result of each encoded image, in host memory, or what is wrong with it."""


class Presence:
    """Whether the service is there, as far as is known. For several threads."""

    def __init__(self, client: Client, ask_again_s: float) -> None:
        self._client = client
        self._ask_again_s = ask_again_s
        self._asking = threading.Lock()
        self._away_until_s: float | None = None  # None: it is there

    def there(self) -> bool:
        """Whether to send to it; where it was away, it is asked again after a while, by one thread at a time."""
        until_s = self._away_until_s
        if until_s is None:
            return True
        if time.monotonic() < until_s or not self._asking.acquire(blocking=False):
            return False
        try:
            return self._ask()
        finally:
            self._asking.release()

    def lost(self, error: AugserveError) -> None:
        """It did not answer."""
        if self._away_until_s is None:
            logger.warning("the service is away, and batches are augmented in this process meanwhile: %s", error)
        self._away_until_s = time.monotonic() + self._ask_again_s

    def _ask(self) -> bool:
        if not self._client.ready():
            self._away_until_s = time.monotonic() + self._ask_again_s
            return False
        logger.warning("the service is back, and augments the batches again")
        self._away_until_s = None
        return True
