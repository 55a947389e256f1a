"""How soon a worker that died is replaced: at once, unless they die in a row."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 10.0
FREE: Final = 5
"""So many deaths within the window are replaced at once; from then on the wait doubles with each."""
LONGEST_S: Final = 30.0
STILLBORN: Final = 5
"""So many workers in a row that never served, and the supervisor gives up."""


@dataclass(slots=True)
class Deaths:
    """Those of late."""

    total: int = 0
    unborn: int = 0
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=FREE + 1))
    _in_a_row: int = 0

    def delay_s(self, now: float, served: bool) -> float:
        """A worker died at ``now``; seconds to wait before another is started in its place."""
        self.total += 1
        self.unborn = 0 if served else self.unborn + 1
        self._times.append(now)
        rapid = len(self._times) > FREE and now - self._times[0] < WINDOW_S
        self._in_a_row = self._in_a_row + 1 if rapid else 0
        return min(LONGEST_S, 2.0 ** (self._in_a_row - 1)) if rapid else 0.0

    @property
    def hopeless(self) -> bool:
        """Whether starting another has no chance."""
        return self.unborn >= STILLBORN
