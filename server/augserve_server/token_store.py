"""Where tokens are kept: in a file, which may change while the server runs, and in the environment."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

from augserve_server.errors import InvalidSettings
from augserve_server.settings import Settings
from augserve_server.tokens import Tokens

LOOK_S: Final = 1.0
"""How often a file is looked at for a change."""

Identity = tuple[int, int, int, int]

logger = logging.getLogger(__name__)


class TokenStore:
    """The tokens that are good now.

    The file is looked at when a token is asked for, once a second at most, so that a change of it needs no restart. One
    that cannot be read any more is reported, and the tokens last read stay good.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        """Raises InvalidSettings where the tokens of the settings cannot be had."""
        self._path = settings.tokens_file
        self._clock = clock
        self._given = Tokens()
        if settings.tokens is not None:
            self._given = Tokens.parse(settings.tokens.get_secret_value(), "AUGSERVE_TOKENS")
        self._looked = clock()
        self._identity = _identity(self._path)
        self._in_file = Tokens() if self._path is None else read_token_file(self._path)
        if settings.asks_for_tokens and not self.tokens.tokens:
            logger.warning("there are no tokens: every request that needs one is refused")

    @property
    def tokens(self) -> Tokens:
        """All of them."""
        if self._path is not None and self._clock() - self._looked >= LOOK_S:
            self._looked = self._clock()
            self._look(self._path)
        return self._given + self._in_file

    def _look(self, path: Path) -> None:
        identity = _identity(path)
        if identity == self._identity:
            return
        self._identity = identity
        try:
            self._in_file = read_token_file(path)
        except InvalidSettings as exc:
            logger.error("the tokens cannot be read again, and those known stay good: %s", exc)
        else:
            logger.info("%s: %d tokens are read", path, len(self._in_file.tokens))


def read_token_file(path: Path) -> Tokens:
    """The tokens of a file. Raises InvalidSettings where it cannot be read, or where everyone can."""
    where = f"tokens_file {str(path)!r}"
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().decode("utf-8")
    except OSError as exc:
        raise InvalidSettings([f"{where}: {exc.strerror}"]) from exc
    except UnicodeDecodeError:
        raise InvalidSettings([f"{where}: is no UTF-8 text"]) from None
    tokens = Tokens.parse(text, where)
    _check_mode(where, mode, tokens)
    return tokens


def _check_mode(where: str, mode: int, tokens: Tokens) -> None:
    if mode & stat.S_IWOTH:
        raise InvalidSettings([f"{where}: everyone may write it (mode {mode:04o}): chmod 600"])
    if mode & stat.S_IROTH and tokens.in_plain:
        raise InvalidSettings([f"{where}: everyone may read it (mode {mode:04o}): chmod 600, or keep sha256: hashes"])
    if mode & stat.S_IROTH:
        logger.warning("%s: everyone may read it (mode %04o); it holds hashes only", where, mode)


def _identity(path: Path | None) -> Identity | None:
    """What changes when a file is written, replaced or made readable; None where it is not there."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode
