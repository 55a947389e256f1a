"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from augserve.async_work import AsyncWork
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
    CONCURRENCY,
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


class AsyncClient(AsyncWork):
    """A :class:`Client` for asyncio: the same methods, to be awaited, and the same arguments and one more.

    Args:
        concurrency: How many requests of one call are under way at a time, where it is split over several.
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
        transport: httpx.AsyncBaseTransport | None = None,
        images_per_request: int = IMAGES_PER_REQUEST,
        bytes_per_request: int = BYTES_PER_REQUEST,
        concurrency: int = CONCURRENCY,
        clock: Clock = CLOCK,
    ) -> None:
        self._settings = Settings(timeout, retries, images_per_request, bytes_per_request, clock, concurrency)
        options = http_options(base_url, token, prioritised(headers, priority), limits)
        self._http = httpx.AsyncClient(**options, transport=transport)

    async def pipelines(self) -> list[PipelineInfo]:
        """The pipelines that are served."""
        return list(read_document(Catalog, await self._get(build_get("/v1/pipelines"))).pipelines)

    async def describe(self, name: str) -> PipelineDetails:
        """One pipeline in full; raises PipelineNotFound."""
        return read_document(PipelineDetails, await self._get(build_describe(name)))

    async def ready(self) -> bool:
        """Whether the service takes work now, asked once: False too where it cannot be reached."""
        try:
            await self._send(build_get("/readyz"), self._settings.one_attempt())
        except (ConnectionFailed, ServiceUnavailable, Timeout):
            return False
        return True

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _call(self, call: Call | Replay, items: Items, timeout_s: float | None) -> Any:
        job = await asyncio.to_thread(self._settings.plan, call, items)
        return job.finish(await self._run_all(job, timeout_s))

    async def _get(self, request: Request) -> bytearray:
        return (await self._send(request, self._settings.attempts())).body

    async def _run_all(self, job: Job, timeout_s: float | None) -> list[PortionResults]:
        slots = asyncio.Semaphore(self._settings.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._run(job, portion, timeout_s, slots)) for portion in job.portions]
        except ExceptionGroup as failures:
            first = failures.exceptions[0]  # it has cancelled the others
        else:
            return [task.result() for task in tasks]
        raise first

    async def _run(self, job: Job, portion: range, timeout_s: float | None, slots: asyncio.Semaphore) -> PortionResults:
        async with slots:
            request = await asyncio.to_thread(job.request, portion)
            try:
                answer = await self._send(request, self._settings.attempts(timeout_s))
            except ServiceError as error:
                return job.reject(error, portion)
        return await asyncio.to_thread(job.read, answer, portion)

    async def _send(self, request: Request, attempts: Attempts) -> Answer:
        while True:
            failure: ConnectionFailed | ServiceError | None
            try:
                answer = await self._exchange(request, attempts)
                failure = read_error(answer, self._settings.clock.utc())
            except ConnectionFailed as error:
                failure = error
            if failure is None:
                return answer
            await self._settings.clock.sleep_async(attempts.delay_s(failure))

    async def _exchange(self, request: Request, attempts: Attempts) -> Answer:
        remaining_s = attempts.remaining_s()
        built = self._http.build_request(**send_options(request, remaining_s))
        body = bytearray()  # writable, so that arrays and tensors can stay where they arrived
        with errors_converted(built.url):
            async with asyncio.timeout(remaining_s):
                response = await self._http.send(built, stream=True)
                try:
                    async for chunk in response.aiter_bytes():
                        body += chunk
                finally:
                    await response.aclose()
        return Answer(response.status_code, response.headers, body)
