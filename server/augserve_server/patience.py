"""How long a worker goes on with a clip: as long as somebody wants it, and no longer than one clip may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from augserve_server.errors import ClientGone, ClipTooLarge


@dataclass(frozen=True, slots=True)
class Patience:
    """Asked between frames; ``wanted`` tells whether anybody still waits."""

    limit_s: float
    wanted: Callable[[], bool]
    began: float = field(default_factory=monotonic)

    def check(self) -> None:
        """Raises ClipTooLarge where the time is over, ClientGone where nobody waits any more."""
        if not self.wanted():
            raise ClientGone
        if monotonic() - self.began > self.limit_s:
            raise ClipTooLarge("seconds", self.limit_s, self.limit_s)
