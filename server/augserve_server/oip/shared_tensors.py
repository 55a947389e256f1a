"""Requests whose tensors lie in shared memory: inputs are read from there, outputs are put there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from augserve.wire import InvalidBody, oip
from augserve_server.admission import Load
from augserve_server.errors import (
    BodyMalformed,
    BodyTooLarge,
    SharedMemoryError,
    SharedMemoryForbidden,
    SharedMemoryOff,
)
from augserve_server.oip.inference import Inference
from augserve_server.oip.shared_memory import Lease, Regions, is_loopback
from augserve_server.service import Service
from augserve_server.visits import Visit

Leases = Mapping[str, Lease]
"""By the names of the tensors that lie there."""
NamedRegions = Mapping[str, oip.Region]
"""Where tensors lie, by their names."""


class Infers(Protocol):
    """What answers requests that have their tensors with them."""

    def infer(self, request: oip.InferRequest, visit: Visit) -> Coroutine[Any, Any, oip.InferResponse]: ...


@dataclass(frozen=True, slots=True)
class SharedInference:
    """Answers requests with tensors in regions of their client too; without ``regions`` these are refused.

    ``most_bytes``: the inputs that one request may have read from its regions.
    """

    inference: Infers
    regions: Regions | None
    most_bytes: int

    def infer(self, request: oip.InferRequest, visit: Visit) -> Coroutine[Any, Any, oip.InferResponse]:
        """The response; an output in shared memory is there, and has no buffers.

        It is no coroutine function itself: its frame would keep the bodies of requests that need nothing of it.

        Raises ServiceError: what ``inference`` raises, and for regions SharedMemoryOff, SharedMemoryForbidden,
        RegionNotFound, SharedMemoryError, BodyMalformed, BodyTooLarge, QueueFull or TooMuchWork.
        """
        sources, targets = _named(request.inputs), _named(request.outputs or ())
        if not sources and not targets:
            return self.inference.infer(request, visit)
        return self._infer(request, visit, sources, targets)

    async def _infer(
        self, request: oip.InferRequest, visit: Visit, sources: NamedRegions, targets: NamedRegions
    ) -> oip.InferResponse:
        regions = usable(self.regions, visit)
        with _leased(regions, visit, targets) as places:
            with _leased(regions, visit, sources) as leases:
                request = replace(request, inputs=await self._filled(request.inputs, leases, visit))
            work = self.inference.infer(_without_targets(request), visit)
            request = replace(request, inputs=())
            response = await work
            return replace(response, outputs=await asyncio.to_thread(_placed, response.outputs, places, targets))

    async def _filled(self, inputs: Sequence[oip.Tensor], leases: Leases, visit: Visit) -> Sequence[oip.Tensor]:
        """The inputs with what is in their regions now: copies, so that what is checked stays as it was."""
        size = sum(lease.byte_size for lease in leases.values())
        if size > self.most_bytes:
            raise BodyTooLarge(size, self.most_bytes)
        visit.ticket.take(Load(bytes=size))
        return await asyncio.to_thread(_read, inputs, leases) if leases else inputs


def inference_of(service: Service) -> SharedInference:
    """What answers the requests of the protocol, however they travel."""
    return SharedInference(Inference(service), service.regions, service.settings.max_body_bytes)


def usable(regions: Regions | None, visit: Visit) -> Regions:
    """The regions, for a client that may use some. Raises SharedMemoryOff or SharedMemoryForbidden."""
    if regions is None:
        raise SharedMemoryOff
    if not is_loopback(visit.peer):
        raise SharedMemoryForbidden
    return regions


def _named(tensors: Sequence[oip.Tensor | oip.RequestedOutput]) -> dict[str, oip.Region]:
    """The region of each tensor that names one."""
    try:
        return {tensor.name: region for tensor in tensors if (region := oip.region_of(tensor)) is not None}
    except InvalidBody as exc:
        raise BodyMalformed(str(exc), field="body") from exc


@contextmanager
def _leased(regions: Regions, visit: Visit, named: Mapping[str, oip.Region]) -> Iterator[Leases]:
    with ExitStack() as stack:
        yield {
            tensor: stack.enter_context(regions.lease(visit.client, region.name, region.offset, region.byte_size))
            for tensor, region in named.items()
        }


def _read(inputs: Sequence[oip.Tensor], leases: Leases) -> list[oip.Tensor]:
    return [_read_one(tensor, leases[tensor.name]) if tensor.name in leases else tensor for tensor in inputs]


def _read_one(tensor: oip.Tensor, lease: Lease) -> oip.Tensor:
    try:
        data = oip.read_elements(tensor.name, tensor.datatype, tensor.shape, lease.read())
    except InvalidBody as exc:
        raise BodyMalformed(str(exc), field=tensor.name) from exc
    return replace(tensor, data=data, parameters=_elsewhere(tensor.parameters))


def _without_targets(request: oip.InferRequest) -> oip.InferRequest:
    if request.outputs is None:
        return request
    outputs = [replace(output, parameters=_elsewhere(output.parameters)) for output in request.outputs]
    return replace(request, outputs=outputs)


def _elsewhere(parameters: oip.Parameters) -> oip.Parameters:
    return {key: value for key, value in parameters.items() if key not in oip.REGION_KEYS}


def _placed(outputs: Sequence[oip.OutputTensor], places: Leases, targets: NamedRegions) -> list[oip.OutputTensor]:
    """The outputs, without those that were put into shared memory. All fit, or none is put there."""
    for output in outputs:
        if output.name in places:
            _check_fits(output, targets[output.name])
    return [
        _put(output, places[output.name], targets[output.name]) if output.name in places else output
        for output in outputs
    ]


def _check_fits(output: oip.OutputTensor, region: oip.Region) -> None:
    if output.nbytes > region.byte_size:
        reason = (
            f"is too small: shared memory size specified with the request for output {output.name!r} "
            f"({region.byte_size} bytes) should be at least {output.nbytes} bytes to hold the results"
        )
        raise SharedMemoryError(region.name, reason)


def _put(output: oip.OutputTensor, lease: Lease, region: oip.Region) -> oip.OutputTensor:
    lease.write(output.buffers)
    values: tuple[oip.Scalar, ...] = (region.name, output.nbytes, region.offset)
    keys = dict(zip(oip.REGION_KEYS, values, strict=True))
    return replace(output, buffers=(), parameters={**output.parameters, **keys})
