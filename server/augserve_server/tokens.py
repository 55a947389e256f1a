"""Bearer tokens: who may do what, and until when. Of a token itself only its sha256 is kept."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes, TypeAdapter
from pydantic import ValidationError as Refusal

from augserve_pipelines.document import MAX_BYTES, DocumentError, read
from augserve_server.errors import InvalidSettings

SHORTEST_TOKEN: Final = 32
LONGEST_TOKEN: Final = 512
HASH_PREFIX: Final = "sha256:"

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what may stand after Bearer
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a token may be good for."""

    INFER = "infer"
    READ = "read"
    ADMIN = "admin"
    SHM = "shm"


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without the token: whose it is, what it is good for, and until when."""

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope]
    expires: datetime | None = None

    def good_at(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires


@dataclass(frozen=True, slots=True)
class Tokens:
    """All tokens that are known. ``in_plain`` tells that they were written down as they are, not as hashes."""

    tokens: tuple[Token, ...] = ()
    in_plain: bool = False

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """The tokens of a YAML text, a list of ``{name, token, scopes, expires}``.

        ``token`` is the token itself, or ``sha256:`` and the hash of it in hexadecimal; ``expires`` may be absent.
        Raises InvalidSettings, which says of ``where`` what is wrong, and repeats no value.
        """
        entries = _entries(text, where)
        digests = [_digest(entry.token) for entry in entries]
        if len(set(digests)) < len(digests):
            raise InvalidSettings([f"{where}: the same token stands there twice"])
        tokens = [
            Token(entry.name, digest, frozenset(entry.scopes), entry.expires)
            for entry, digest in zip(entries, digests, strict=True)
        ]
        return cls(tuple(tokens), any(not _is_hash(entry.token) for entry in entries))

    def find(self, secret: str) -> Token | None:
        """The token that ``secret`` is. All are compared, each in constant time: how long it takes tells nothing."""
        digest = sha256(secret.encode("utf-8", "surrogateescape")).digest()
        found = [token for token in self.tokens if hmac.compare_digest(token.digest, digest)]
        return found[0] if found else None

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.tokens + other.tokens, self.in_plain or other.in_plain)


def new_token() -> tuple[str, str]:
    """A fresh token of 256 random bits, and ``sha256:`` with its hash."""
    token = f"augserve_{secrets.token_urlsafe(32)}"
    return token, HASH_PREFIX + sha256(token.encode()).hexdigest()


def _check_token(value: object) -> bytes:
    """The texts of what is raised here name no value, and so do pydantic's, which are asked not to."""
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")
    if value.startswith(HASH_PREFIX):
        if not _HASH.fullmatch(value.removeprefix(HASH_PREFIX)):
            raise ValueError(f"must have 64 hexadecimal digits, in lower case, after {HASH_PREFIX}")
    elif not _TOKEN.fullmatch(value):
        raise ValueError("must be of A-Z a-z 0-9 . _ ~ + / - alone")
    elif not SHORTEST_TOKEN <= len(value) <= LONGEST_TOKEN:
        raise ValueError(f"has {len(value)} characters; it must have {SHORTEST_TOKEN} to {LONGEST_TOKEN}")
    return value.encode()


class _Entry(BaseModel):
    """A token as it is written down."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    token: Annotated[SecretBytes, BeforeValidator(_check_token)]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    expires: AwareDatetime | None = None


_ENTRIES: Final = TypeAdapter(list[_Entry])


def _entries(text: str, where: str) -> Sequence[_Entry]:
    if len(text) > MAX_BYTES:
        raise InvalidSettings([f"{where}: has more than {MAX_BYTES} bytes"])
    try:
        root = read(text)
        if root is None:
            return []
        return _ENTRIES.validate_python(root.plain())
    except DocumentError as exc:  # its words may be the text's
        at = f" (line {exc.line})" if exc.line else ""
        raise InvalidSettings([f"{where}: cannot be read as YAML{at}"]) from None
    except Refusal as exc:
        problems = [f"{where}: {_place(error['loc'])}{error['msg']}" for error in exc.errors(include_input=False)]
        raise InvalidSettings(problems) from None


def _place(location: tuple[int | str, ...]) -> str:
    """``tokens[0].scopes[1]: ``; a key that nobody knows may be a token in the wrong place, and is not repeated."""
    known = {*_Entry.model_fields}
    steps = [f"[{step}]" if isinstance(step, int) else f".{step if step in known else '?'}" for step in location]
    return f"tokens{''.join(steps)}: "


def _is_hash(token: SecretBytes) -> bool:
    return token.get_secret_value().startswith(HASH_PREFIX.encode())


def _digest(token: SecretBytes) -> bytes:
    if _is_hash(token):
        return bytes.fromhex(token.get_secret_value().decode().removeprefix(HASH_PREFIX))
    return sha256(token.get_secret_value()).digest()


def now_utc() -> datetime:
    """The time by which tokens expire."""
    return datetime.now(UTC)
