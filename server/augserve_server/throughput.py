"""How fast the house is emptied: seconds of work, as they were predicted, done in each second that passes."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import Final

MEMORY_S: Final = 5.0
"""What was done so long ago counts for a third of what is done now; time in which there was no work does not pass."""
TRUST_S: Final = 0.5
"""So much work is taken to have been done at the predicted rate before anything is measured."""
SLOWEST: Final = 0.1
FASTEST: Final = 10.0


class Throughput:
    """What is finished per second of busy time; 1.0 where predictions are right."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._done = self._busy = TRUST_S  # the older, the less they weigh
        self._since: float | None = None

    def begin(self) -> None:
        """Work has come to an idle house."""
        self._since = self._clock()

    def idle(self) -> None:
        """The last work has left it."""
        self._advance()
        self._since = None

    def finish(self, seconds: float) -> None:
        """So much work was done."""
        self._advance()
        self._done += seconds

    @property
    def rate(self) -> float:
        """Seconds of work done in a second: 0.1 to 10."""
        self._advance()
        return min(max(self._done / self._busy, SLOWEST), FASTEST)

    def _advance(self) -> None:
        if self._since is None:
            return
        now = self._clock()
        weight = math.exp((self._since - now) / MEMORY_S)
        self._done *= weight
        self._busy = self._busy * weight + MEMORY_S * (1 - weight)
        self._since = now
