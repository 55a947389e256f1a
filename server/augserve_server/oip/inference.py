"""Inference: a request's tensors to an order, the engine's results to tensors."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from augserve.wire import oip
from augserve_server.admission import Load, Priority
from augserve_server.catalog import Catalog, Served
from augserve_server.errors import ParameterInvalid, TensorInvalid, VersionNotFound
from augserve_server.errors.wording import did_you_mean, listed
from augserve_server.oip.inputs import Inputs, read_inputs
from augserve_server.oip.names import (
    CLIP,
    CLIP_INPUTS,
    ENCODED,
    ERRORS,
    FAILED_KEY,
    FINGERPRINT_KEY,
    FINISH_KEY,
    PIXELS,
    PROBLEMS,
    RAGGED_LIST,
    RECIPE,
    SEED_KEY,
    SHAPES,
    STATUS,
    TIMING_KEY,
)
from augserve_server.oip.options import INTERACTIVE, OnError, Options, read_options
from augserve_server.oip.outputs import Outcome, Packing
from augserve_server.orders import Order, variant_of
from augserve_server.results import Form
from augserve_server.routes.shared import count, within
from augserve_server.service import Service
from augserve_server.uploads import SampleLimits
from augserve_server.visits import Visit

ALWAYS: Final = (SHAPES, STATUS, ERRORS, PROBLEMS, ENCODED, RECIPE)
"""Outputs that every request can ask for, besides its pixels."""


def find(catalog: Catalog, name: str, version: str = "") -> Served:
    """A pipeline by name, and by version where one is given. Raises PipelineNotFound or VersionNotFound."""
    served = catalog[name]
    if version not in ("", str(served.revision)):
        raise VersionNotFound(name, version, served.revision)
    return served


@dataclass(frozen=True, slots=True)
class Inference:
    """The Open Inference Protocol's way into the engine, however requests travel."""

    service: Service

    async def infer(self, request: oip.InferRequest, visit: Visit) -> oip.InferResponse:
        """The response to a request. Cancelled where nobody waits for it any more.

        Raises ServiceError where the request cannot be answered as a whole: with ``on_error`` at ``fail``, its default,
        that is the error of the first sample that failed.
        """
        settings = self.service.settings
        served = find(self.service.catalog, request.model_name, request.model_version)
        visit.pipeline = served.name
        options = read_options(request.parameters, settings.max_views)
        if options.priority:
            visit.priority = Priority.INTERACTIVE if options.priority == INTERACTIVE else Priority.BULK
        limits = SampleLimits(settings.max_images, settings.max_image_bytes, settings.max_clip_frames)
        inputs = read_inputs(request.inputs, served.pipeline.input.channels, limits)
        request = replace(request, inputs=())  # what was encoded is in the uploads: a body is not kept for it
        names = _output_names(request, inputs, options)
        order = _order(served, options, inputs, RECIPE in names)
        timeout_ms = options.timeout_us / 1000 if options.timeout_us else None
        packing = Packing(
            order,
            options.on_error,
            is_clip=inputs.pixels in CLIP_INPUTS,
            is_list=options.ragged == RAGGED_LIST,
            limit=settings.max_output_bytes,
            request_id=visit.id,
        )
        outcomes, outputs = await within(timeout_ms, self.service, visit, self._work(packing, inputs, names, visit))
        count(self.service, visit, outcomes, order.views)
        parameters = _parameters(order, visit)
        return oip.InferResponse(served.name, str(served.revision), request.id, parameters, outputs)

    async def _work(
        self, packing: Packing, inputs: Inputs, names: Sequence[str], visit: Visit
    ) -> tuple[Sequence[Outcome], Sequence[oip.OutputTensor]]:
        done = await self.service.engine.run(packing.order, inputs.uploads, visit.ticket, visit.timings)
        outcomes = done.results
        packing.check(outcomes)
        with self.service.ledger.wanted(done.pixels, visit.timings), visit.timings.at("encode"):
            if copied := packing.copied_bytes(outcomes, names):
                visit.ticket.take(Load(bytes=copied))
            if packing.is_cheap(outcomes, names):
                return outcomes, packing.pack(outcomes, names)
            with self.service.ledger.metered(packing.order.served.name, encoding=True) as meter:
                return outcomes, await self.service.encoder.run(lambda: packing.pack(outcomes, names), meter)


def _output_names(request: oip.InferRequest, inputs: Inputs, options: Options) -> list[str]:
    """The outputs that were asked for; without a list, the pixels and what is known of each result."""
    pixels = CLIP if inputs.pixels in CLIP_INPUTS else PIXELS
    if request.outputs is None:
        errors = [] if options.on_error is OnError.FAIL else [ERRORS]
        recipe = [RECIPE] if options.params else []
        return [pixels, SHAPES, STATUS, *errors, *inputs.targets, *recipe]
    allowed = [pixels, *ALWAYS, *inputs.targets]
    for output in request.outputs:
        if output.name not in allowed:
            hint = did_you_mean(output.name, allowed) or ";"
            detail = f"there is no output {output.name!r} of these inputs{hint} allowed: {listed(allowed)}"
            raise TensorInvalid(output.name, detail, allowed=allowed)
        _check_parameters(output)
    return [output.name for output in request.outputs]


def _check_parameters(output: oip.RequestedOutput) -> None:
    known = (oip.BINARY_DATA, *oip.REGION_KEYS)
    unknown = next((name for name in output.parameters if name not in known), None)
    if unknown is not None:
        detail = f"output {output.name!r} has parameter {unknown!r}; allowed: {listed(known)}"
        raise TensorInvalid(output.name, detail, allowed=[*known])


def _order(served: Served, options: Options, inputs: Inputs, recipe: bool) -> Order:
    variant = variant_of(served, options.dtype, options.wire)
    form = Form(options.format or variant.media_types[0], options.quality)
    if options.format is not None and options.format not in variant.media_types:
        raise ParameterInvalid("format", options.format, " or ".join(variant.media_types))
    seed = options.seed
    if seed is None:
        seed = inputs.seeds[0] if inputs.seeds else secrets.randbits(32)
    return Order(variant, seed, options.views, form, options.params or recipe, first_seeds=inputs.seeds)


def _parameters(order: Order, visit: Visit) -> dict[str, oip.Scalar]:
    finish = order.served.finish
    return {
        SEED_KEY: order.seed,
        FINGERPRINT_KEY: order.served.pipeline.fingerprint,
        **({} if finish is None else {FINISH_KEY: finish.write()}),
        **({FAILED_KEY: visit.failed} if visit.failed else {}),
        TIMING_KEY: visit.timings.header(),
    }
