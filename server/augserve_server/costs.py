"""What work costs, in seconds of this machine: learned from the batches and stages that it has done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import mul
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MEGA: Final = 1e6
PRIOR: Final = np.array([1e-3, 2e-4, 1e-3, 4e-3, 1e-3])
"""Seconds for a batch, a result, an encoded megabyte, a megapixel in and one out, before anything was observed."""
WINDOW_RESULTS: Final = 32
WINDOW_S: Final = 0.1
"""An observation is of so many results or of so much work: what one batch took is mostly noise."""
FORGETTING: Final = 0.96
FORGETTING_FAST: Final = 0.7
FAR_OFF: Final = 2.0
"""Observations that are off by such a factor, or its inverse, say that things have changed."""
WILDEST: Final = 4.0
"""An observation is believed to be off by such a factor at most: the machine may have been asleep."""
RIDGE: Final = 0.02
SWEEPS: Final = 30


class Size(NamedTuple):
    """What cost is told from: results, bytes as they came, pixels to decode, pixels of results."""

    results: int = 1
    bytes: int = 0
    pixels_in: int = 0
    pixels_out: int = 0

    def __add__(self, other: Size) -> Size:  # type: ignore[override]  # sums, where other tuples are joined
        return Size(
            self.results + other.results,
            self.bytes + other.bytes,
            self.pixels_in + other.pixels_in,
            self.pixels_out + other.pixels_out,
        )

    @classmethod
    def total(cls, sizes: Iterable[Size]) -> Size:
        """Of all together."""
        return cls(*map(sum, zip(cls(0), *sizes, strict=True)))

    def regressors(self, batches: float = 0.0) -> Vector:
        """In the units of :data:`PRIOR`."""
        return np.array(
            [batches, self.results, self.bytes / MEGA, self.pixels_in / MEGA, self.pixels_out / MEGA], np.float64
        )

    def seconds(self, coefficients: Sequence[float]) -> float:
        """What it takes without the fixed cost of a batch, by coefficients of its :meth:`regressors`."""
        _, result, megabyte, megapixel_in, megapixel_out = coefficients
        encoded, pixels = megabyte * self.bytes, megapixel_in * self.pixels_in + megapixel_out * self.pixels_out
        return result * self.results + (encoded + pixels) / MEGA


class Regression:
    """Least squares with forgetting, of coefficients that are never negative.

    Coefficients are factors of :data:`PRIOR`, and errors are relative to what was observed, so that large images do not
    outweigh small ones. What observations do not tell, such as apart from one another megabytes and megapixels that
    always come together, stays in the proportions of the prior. Observations that are far off make it forget faster.
    """

    def __init__(self) -> None:
        self.factors = np.ones(len(PRIOR))
        self.coefficients: Sequence[float] = PRIOR.tolist()
        """Seconds for each regressor; as a list, for one prediction takes numpy longer than Python."""
        self._squares = np.zeros((len(PRIOR), len(PRIOR)))
        self._products = np.zeros(len(PRIOR))
        self._scale = np.ones(2)  # sums of prior / observed, and of its square

    def copy(self) -> Regression:
        """Another that has learned the same."""
        other = Regression()
        other.factors, other._scale = self.factors.copy(), self._scale.copy()
        other.coefficients = self.coefficients
        other._squares, other._products = self._squares.copy(), self._products.copy()
        return other

    def seconds(self, regressors: Vector) -> float:
        """What such work is expected to take."""
        return float(regressors @ (self.factors * PRIOR))

    def observe(self, regressors: Vector, seconds: float) -> float:
        """Learn what some work took; its ratio to what was expected."""
        expected = max(self.seconds(regressors), 1e-6)
        ratio = seconds / expected
        known = FORGETTING if 1 / FAR_OFF < ratio < FAR_OFF else FORGETTING_FAST
        believed = expected * min(max(ratio, 1 / WILDEST), WILDEST)
        scaled = regressors * PRIOR / believed
        self._squares = known * self._squares + np.outer(scaled, scaled)
        self._products = known * self._products + scaled
        self._scale = known * self._scale + np.array([scaled.sum(), scaled.sum() ** 2])
        self.factors = self._solved()
        self.coefficients = (self.factors * PRIOR).tolist()
        return ratio

    def _solved(self) -> Vector:
        """The minimum over what is not negative, one coefficient after another, a few times."""
        scale = self._scale[0] / self._scale[1]
        squares = (self._squares + RIDGE * np.eye(len(PRIOR))).tolist()
        products = (self._products + RIDGE * scale).tolist()
        factors: list[float] = self.factors.tolist()
        for _ in range(SWEEPS):
            for i, row in enumerate(squares):
                others = sum(map(mul, row, factors)) - row[i] * factors[i]
                factors[i] = max((products[i] - others) / row[i], 0.0)
        return np.array(factors)


class _Window:
    """What was spent on a pipeline and what came of it, since the last observation."""

    def __init__(self) -> None:
        self.seconds = self.encoding = 0.0
        self.batches = 0
        self.size = Size(0)

    @property
    def full(self) -> bool:
        return self.size.results > 0 and (self.size.results >= WINDOW_RESULTS or self.seconds >= WINDOW_S)


class _Model:
    """What is known of one pipeline."""

    def __init__(self, regression: Regression) -> None:
        self.regression = regression
        self.window = _Window()
        self.encoding_share = 0.0
        self.pixels_per_byte = 0.0
        """Pixels to decode for each encoded byte; 0 where none were seen."""
        self.result_pixels = 0.0

    def learn(self) -> float:
        window, self.window = self.window, _Window()
        share = window.encoding / window.seconds if window.seconds else 0.0
        self.encoding_share += (share - self.encoding_share) / 4
        if window.size.bytes:
            self.pixels_per_byte += (window.size.pixels_in / window.size.bytes - self.pixels_per_byte) / 4
        self.result_pixels += (window.size.pixels_out / window.size.results - self.result_pixels) / 4
        return self.regression.observe(window.size.regressors(window.batches), window.seconds)


class Costs:
    """Predicts cost for each pipeline; one that is new is taken for what all have in common.

    The fixed cost of a batch is learned apart and left out: a machine that has much to do shares it among many.
    Used from the event loop only. ``observed`` is told the ratio of each observation to what was expected.
    """

    def __init__(self, observed: Callable[[float], None] = lambda ratio: None) -> None:
        self._observed = observed
        self._common = Regression()
        self._models: dict[str, _Model] = {}

    def seconds(self, pipeline: str, size: Size) -> float:
        """Predicted seconds of this machine's work; more than zero."""
        return max(size.seconds(self._regression(pipeline).coefficients), 1e-6)

    def guess(self, pipeline: str, encoded_bytes: int) -> float:
        """The same where only the bytes of one image are known: as images of this pipeline have been so far."""
        model = self._models.get(pipeline)
        if model is None:
            return self.seconds(pipeline, Size(bytes=encoded_bytes))
        pixels = int(encoded_bytes * model.pixels_per_byte)
        return self.seconds(pipeline, Size(1, encoded_bytes, pixels, int(model.result_pixels)))

    def encoding_share(self, pipeline: str) -> float:
        """The part of a result's cost that comes after it was computed."""
        model = self._models.get(pipeline)
        return model.encoding_share if model is not None else 0.0

    def spent(self, pipeline: str, seconds: float, encoding: bool = False) -> None:
        """The whole machine, or its device, was taken up for so long by a stage of this pipeline's work."""
        window = self._model(pipeline).window
        window.seconds += seconds
        window.encoding += seconds * encoding

    def done(self, pipeline: str, size: Size) -> None:
        """A batch of this pipeline was computed."""
        model = self._model(pipeline)
        model.window.batches += 1
        model.window.size += size
        if model.window.full:
            self._common.observe(model.window.size.regressors(model.window.batches), model.window.seconds)
            self._observed(model.learn())

    def _regression(self, pipeline: str) -> Regression:
        model = self._models.get(pipeline)
        return self._common if model is None else model.regression

    def _model(self, pipeline: str) -> _Model:
        if pipeline not in self._models:
            self._models[pipeline] = _Model(self._common.copy())
        return self._models[pipeline]


class Occupancy:
    """How long the device was taken up by each of the batches that it ran, where some ran at the same time."""

    def __init__(self) -> None:
        self._running = 0
        self._changed = self._each = 0.0

    def begin(self, now: float) -> float:
        """A batch begins; what this returns is to be given to ``end``."""
        self._advance(now)
        self._running += 1
        return self._each

    def end(self, begun: float, now: float) -> float:
        """Seconds of the device that the batch took."""
        self._advance(now)
        self._running -= 1
        return self._each - begun

    def _advance(self, now: float) -> None:
        if self._running:
            self._each += (now - self._changed) / self._running
        self._changed = now
