"""The client that blocks."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

import httpx

from augserve.catalog import Catalog, PipelineDetails, PipelineInfo, read_document
from augserve.errors import ConnectionFailed, ServiceError, ServiceUnavailable, Timeout
from augserve.inputs import Image, Images
from augserve.jobs import Job
from augserve.options import ManyFileOptions, ManyOptions, OneFileOptions, OneOptions
from augserve.requests import (
    BYTES_PER_REQUEST,
    IMAGES_PER_REQUEST,
    Call,
    DType,
    Form,
    Request,
    build_describe,
    build_get,
)
from augserve.responses import Answer, PortionResults, read_error
from augserve.results import Array, Results
from augserve.retries import Attempts, Clock, Retries
from augserve.sending import (
    BASE_URL,
    CLOCK,
    LIMITS,
    RETRIES,
    TIMEOUT_S,
    Settings,
    errors_converted,
    http_options,
    send_options,
)

if TYPE_CHECKING:
    from augserve.torch import Tensor


class Client:
    """A connection to a service; close it, or use it in ``with``. Threads may share one.

    Args:
        base_url: Address of the service, with a path in front of ``/v1`` if it has one.
        timeout: Seconds for each request, its retries included; None: no limit but the server's.
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
        timeout: float | None = TIMEOUT_S,
        retries: Retries = RETRIES,
        limits: httpx.Limits = LIMITS,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        images_per_request: int = IMAGES_PER_REQUEST,
        bytes_per_request: int = BYTES_PER_REQUEST,
        clock: Clock = CLOCK,
    ) -> None:
        self._settings = Settings(timeout, retries, images_per_request, bytes_per_request, clock)
        self._http = httpx.Client(**http_options(base_url, headers, limits), transport=transport)

    @overload
    def augment(  # type: ignore[overload-overlap]  # Image is in Images: the first that fits is meant
        self, pipeline: str, images: Image, *, as_: Literal["numpy"] = "numpy", **options: Unpack[OneOptions]
    ) -> Array: ...
    @overload
    def augment(  # type: ignore[overload-overlap]  # Image is in Images: the first that fits is meant
        self, pipeline: str, images: Image, *, as_: Literal["torch"], **options: Unpack[OneOptions]
    ) -> Tensor: ...
    @overload
    def augment(  # type: ignore[overload-overlap]  # Image is in Images: the first that fits is meant
        self, pipeline: str, images: Image, *, as_: Literal["bytes"], **options: Unpack[OneFileOptions]
    ) -> bytes: ...
    @overload
    def augment(
        self, pipeline: str, images: Images, *, as_: Literal["numpy"] = "numpy", **options: Unpack[ManyOptions]
    ) -> Results[Array]: ...
    @overload
    def augment(
        self, pipeline: str, images: Images, *, as_: Literal["torch"], **options: Unpack[ManyOptions]
    ) -> Results[Tensor]: ...
    @overload
    def augment(
        self, pipeline: str, images: Images, *, as_: Literal["bytes"], **options: Unpack[ManyFileOptions]
    ) -> Results[bytes]: ...
    def augment(
        self,
        pipeline: str,
        images: Images,
        *,
        as_: Form = "numpy",
        views: int | None = None,
        seed: int | None = None,
        dtype: DType | None = None,
        media_type: str | None = None,
        quality: int | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Run a pipeline on one image or several.

        Args:
            pipeline: Its name, as ``pipelines()`` lists it.
            images: One image or a sequence of them: bytes, paths, Pillow images, arrays, tensors (see :data:`Image`).
            as_: What results are: numpy arrays or torch tensors [C, H, W], or the bytes of encoded files.
            views: Augmented results of each image, 1..64.
            seed: Seed of the first result, 0 <= seed < 2**63; result r is drawn with ``seed + r``. None: a fresh one.
            dtype: What floats are cast to on the way out: float16, bfloat16 or float32. numpy has no bfloat16: its
                values come as float32, exactly.
            media_type: For bytes: ``"image/png"``, ``"application/x-npy"``... None: the pipeline's default.
            quality: For bytes, of JPEG and WebP: 1..100.
            timeout: Seconds for each request, its retries included; None: the client's.

        Returns:
            The result of one image that was given without ``views``; ``Results`` otherwise.

        Raises:
            AugserveError: One of its kinds (see :mod:`augserve.errors`); for one image without ``views`` also what is
                wrong with the image, else that is the result at its index.
            OSError: A path cannot be read.
        """
        call = Call.of(pipeline, as_, seed, views=views, dtype=dtype, media_type=media_type, quality=quality)
        job = self._settings.plan(call, images)
        return job.finish([self._run(job, portion, timeout) for portion in job.portions])

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
