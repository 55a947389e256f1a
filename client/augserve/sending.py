"""What both clients do around sending: their settings, requests in httpx's terms, and httpx's errors in ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, TypeAlias, get_args

import httpx

from augserve.errors import ConnectionFailed, ConnectionLost, InvalidInput, ResponseInvalid, Timeout
from augserve.jobs import Job
from augserve.requests import Call, Replay, Request, deadline_header
from augserve.retries import Attempts, Clock, Retries
from augserve.samples import Items
from augserve.wire import PRIORITY_HEADER

Priority: TypeAlias = Literal["interactive", "bulk"]

CONNECT_TIMEOUT_S = 5.0
BASE_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 60.0
CONCURRENCY = 4
RETRIES = Retries()
# As many are kept as there may be: where httpx keeps fewer, it closes one as idle that another thread is about to use.
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=5.0)
CLOCK = Clock()
TOKEN_VARIABLE = "AUGSERVE_TOKEN"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client was given, whichever way it sends."""

    timeout_s: float | None
    retries: Retries
    images_per_request: int
    bytes_per_request: int
    clock: Clock
    concurrency: int = 1

    def __post_init__(self) -> None:
        for name in ("images_per_request", "bytes_per_request", "concurrency"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 1")

    def plan(self, call: Call | Replay, items: Items) -> Job:
        """How the items of a call are sent."""
        return Job.plan(call, items, self.images_per_request, self.bytes_per_request)

    def attempts(self, timeout_s: float | None = None) -> Attempts:
        """The tries of one request."""
        return Attempts(self.retries, self.clock, self.timeout_s if timeout_s is None else timeout_s)

    def one_attempt(self) -> Attempts:
        """A single try."""
        return Attempts(Retries(attempts=1), self.clock, self.timeout_s)


def prioritised(headers: Mapping[str, str] | None, priority: Priority | None) -> dict[str, str]:
    """Headers that say how urgent all requests of a client are. Raises InvalidInput."""
    if priority not in (None, *get_args(Priority)):
        raise InvalidInput(f"priority is {priority!r}; it is 'interactive', 'bulk' or None")
    return {**({} if priority is None else {PRIORITY_HEADER: priority}), **(headers or {})}


def http_options(
    base_url: str, token: str | None, headers: Mapping[str, str] | None, limits: httpx.Limits
) -> dict[str, Any]:
    """Arguments of ``httpx.Client`` and ``httpx.AsyncClient``, which follow no redirects: no token goes elsewhere."""
    if httpx.URL(base_url).scheme not in ("http", "https"):
        raise InvalidInput(f"base_url is {base_url!r}; it begins with http:// or https://")
    agent = {"User-Agent": f"augserve/{version('augserve')}"}
    every = httpx.Headers({**agent, **_authorization(token)})
    every.update(headers)  # whatever its case, a header that is given is the only one
    return {"base_url": base_url, "headers": every, "limits": limits, "timeout": None, "follow_redirects": False}


def _authorization(token: str | None) -> dict[str, str]:
    given = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
    if not given and token is None:
        return {}
    if not _TOKEN.fullmatch(given):  # which httpx would repeat
        raise InvalidInput("the token is empty, or has characters other than A-Z a-z 0-9 . _ ~ + / - =")
    return {"Authorization": f"Bearer {given}"}


def send_options(request: Request, remaining_s: float | None) -> dict[str, Any]:
    """Arguments of ``build_request`` of httpx's clients."""
    connect_s = CONNECT_TIMEOUT_S if remaining_s is None else min(CONNECT_TIMEOUT_S, remaining_s)
    return {
        "method": request.method,
        "url": request.path,
        "params": request.params,
        "headers": {**request.headers, **deadline_header(remaining_s)},
        "content": request.body,
        "timeout": httpx.Timeout(remaining_s, connect=connect_s),
    }


@contextmanager
def errors_converted(url: httpx.URL) -> Iterator[None]:
    """Raise our errors for httpx's, of a request to ``url``."""
    address = f"{url.scheme}://{url.netloc.decode()}"
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as exc:
        raise InvalidInput(f"the request cannot be sent: {exc}") from exc
    except httpx.ConnectTimeout as exc:
        raise ConnectionFailed(f"{address}: no connection within {CONNECT_TIMEOUT_S:g} s") from exc
    except (httpx.TimeoutException, TimeoutError) as exc:
        raise Timeout(f"{address}: no complete answer in time") from exc
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as exc:
        raise ConnectionLost(f"{address}: {str(exc) or type(exc).__name__}") from exc
    except httpx.TransportError as exc:
        raise ConnectionFailed(f"{address}: {str(exc) or type(exc).__name__}") from exc
    except httpx.RequestError as exc:
        raise ResponseInvalid(f"{address}: the answer cannot be read: {exc}") from exc
