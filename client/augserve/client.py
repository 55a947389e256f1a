"""The client that blocks."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from augserve.catalog import Catalog, PipelineDetails, PipelineInfo, read_document
from augserve.errors import ConnectionFailed, ServiceError, ServiceUnavailable, Timeout
from augserve.jobs import Job
from augserve.requests import (
    BYTES_PER_REQUEST,
    IMAGES_PER_REQUEST,
    Call,
    Replay,
    Request,
    build_describe,
    build_get,
)
from augserve.responses import Answer, PortionResults, read_error
from augserve.retries import Attempts, Clock, Retries
from augserve.samples import Items
from augserve.sending import (
    BASE_URL,
    CLOCK,
    LIMITS,
    RETRIES,
    TIMEOUT_S,
    Priority,
    Settings,
    errors_converted,
    http_options,
    prioritised,
    send_options,
)
from augserve.work import Work


class Client(Work):
    """A connection to a service; close it, or use it in ``with``. Threads may share one.

    Args:
        base_url: Address of the service, with a path in front of ``/v1`` if it has one.
        token: Bearer token, sent with every request; None: that of the environment variable AUGSERVE_TOKEN, if any.
        timeout: Seconds for each request, its retries included; None: no limit but the server's.
        priority: ``"bulk"`` for work that may wait for other work; None: as any.
        retries: How lost connections and refusals under load are tried again.
        limits: How many connections are open and kept (``httpx.Limits``).
        headers: Sent with every request.
        transport: What sends instead of httpx's own: a proxy, a certificate, an application in this process.
        images_per_request: Calls with more images are split over several requests, one after another.
        bytes_per_request: So are calls with larger ones; the server's limit is 64 MiB by default.
        clock: Time, for tests.
    """

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        token: str | None = None,
        timeout: float | None = TIMEOUT_S,
        priority: Priority | None = None,
        retries: Retries = RETRIES,
        limits: httpx.Limits = LIMITS,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        images_per_request: int = IMAGES_PER_REQUEST,
        bytes_per_request: int = BYTES_PER_REQUEST,
        clock: Clock = CLOCK,
    ) -> None:
        self._settings = Settings(timeout, retries, images_per_request, bytes_per_request, clock)
        options = http_options(base_url, token, prioritised(headers, priority), limits)
        self._http = httpx.Client(**options, transport=transport)

    def pipelines(self) -> list[PipelineInfo]:
        """The pipelines that are served."""
        return list(read_document(Catalog, self._get(build_get("/v1/pipelines"))).pipelines)

    def describe(self, name: str) -> PipelineDetails:
        """One pipeline in full; raises PipelineNotFound."""
        return read_document(PipelineDetails, self._get(build_describe(name)))

    def ready(self) -> bool:
        """Whether the service takes work now, asked once: False too where it cannot be reached."""
        try:
            self._send(build_get("/readyz"), self._settings.one_attempt())
        except (ConnectionFailed, ServiceUnavailable, Timeout):
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, call: Call | Replay, items: Items, timeout_s: float | None) -> Any:
        job = self._settings.plan(call, items)
        return job.finish([self._run(job, portion, timeout_s) for portion in job.portions])

    def _get(self, request: Request) -> bytearray:
        return self._send(request, self._settings.attempts()).body

    def _run(self, job: Job, portion: range, timeout_s: float | None) -> PortionResults:
        request = job.request(portion)
        try:
            answer = self._send(request, self._settings.attempts(timeout_s))
        except ServiceError as error:
            return job.reject(error, portion)
        return job.read(answer, portion)

    def _send(self, request: Request, attempts: Attempts) -> Answer:
        while True:
            failure: ConnectionFailed | ServiceError | None
            try:
                answer = self._exchange(request, attempts)
                failure = read_error(answer, self._settings.clock.utc())
            except ConnectionFailed as error:
                failure = error
            if failure is None:
                return answer
            self._settings.clock.sleep(attempts.delay_s(failure))

    def _exchange(self, request: Request, attempts: Attempts) -> Answer:
        built = self._http.build_request(**send_options(request, attempts.remaining_s()))
        body = bytearray()  # writable, so that arrays and tensors can stay where they arrived
        with errors_converted(built.url):
            response = self._http.send(built, stream=True)
            try:
                for chunk in response.iter_bytes():
                    body += chunk
                    attempts.remaining_s()
            finally:
                response.close()
        return Answer(response.status_code, response.headers, body)
