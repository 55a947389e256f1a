"""A pipeline: transforms compiled to run over batches, one seed and one draw for every sample."""

from __future__ import annotations

import copy
import itertools
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from augserve_pipelines import canonical, definition, executor, interchange
from augserve_pipelines.batch import Batch
from augserve_pipelines.decode_rule import DecodeRule
from augserve_pipelines.deferred import Deferred, foreseen
from augserve_pipelines.errors import InvalidInput, InvalidParameters, InvalidPipeline, Problem
from augserve_pipelines.finishing import Finishing, cast_of_floats, parts
from augserve_pipelines.frames import Frames
from augserve_pipelines.input_rule import InputRule
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Chain, Op, after
from augserve_pipelines.plan import Plan, flat, plan, with_parity
from augserve_pipelines.probing import BATCH, alternatives, probe_batches
from augserve_pipelines.records import Record
from augserve_pipelines.refusals import explained
from augserve_pipelines.samples import Sample, frames_of
from augserve_pipelines.scaled import at_factors, largest_factors
from augserve_pipelines.structures import Samples, collated, read_samples, run_samples, separated
from augserve_pipelines.transforms.base import Transform, is_batched
from augserve_pipelines.transforms.containers import Compose, Identity, drawn_in_order
from augserve_pipelines.tv_tensors.interop import kind_of

# Seeds that `signature` draws under, for each size that it tries.
_PROBE_SEEDS = 64


@dataclass(frozen=True, slots=True)
class OutputSignature:
    """What a pipeline makes of a photograph: None where it depends on the input or on chance."""

    dtype: str | None
    channels: int | None
    height: int | None
    width: int | None

    @classmethod
    def of(cls, outputs: Frames) -> OutputSignature:
        """What the frames of some results have in common."""
        dtypes = {str(dtype).removeprefix("torch.") for dtype in outputs.dtypes}
        return cls(
            dtype=dtypes.pop() if len(dtypes) == 1 else None,
            channels=_same(outputs.channels),
            height=_same(outputs.heights),
            width=_same(outputs.widths),
        )


class Pipeline:
    """Transforms that run over batches of images of any sizes, with random parameters drawn per sample.

    Sample ``i`` is what ``torch.manual_seed(seeds[i])`` and the transforms of torchvision give for image ``i`` on the
    CPU, whatever else is in the batch.

    Args:
        transforms: the steps in order.
        parity: whose antialiased bilinear, bicubic and lanczos resize to reproduce: torchvision's or Pillow's.
        name: what to call it.
        description: one line for people.
        input: how encoded images become pixels, for those who decode for the pipeline.
        decode: what a decoder may do for speed where it changes pixels, likewise.
    """

    def __init__(
        self,
        transforms: Sequence[Transform],
        *,
        parity: Parity = "torchvision",
        name: str = "",
        description: str = "",
        input: InputRule | None = None,  # the key's name in YAML
        decode: DecodeRule | None = None,
    ) -> None:
        if parity not in ("torchvision", "pillow"):
            raise ValueError(f"parity is {parity!r}; allowed: 'torchvision', 'pillow'")
        self.transforms = _checked(transforms)
        self.parity: Parity = parity
        self.name = name
        self.description = description
        self.input = InputRule() if input is None else input
        self.decode = DecodeRule() if decode is None else decode
        alone = list(itertools.takewhile(lambda step: not is_batched(step), self.transforms))
        self._alone = Compose(alone) if alone else Identity()
        self._together = Compose(self.transforms[len(alone) :]) if len(alone) < len(self.transforms) else None
        self._cast: torch.dtype | None = None
        self._most_pixels: int | None = None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Pipeline:
        """The pipeline of a YAML file, named for the file's stem.

        Raises:
            InvalidPipeline: with every problem of the file.
        """
        return cls._of(definition.load(path))

    @classmethod
    def loads(cls, text: str, name: str = "pipeline") -> Pipeline:
        """The pipeline that the text of a YAML file defines, such as ``Client.describe(name).yaml``.

        Raises:
            InvalidPipeline: with every problem of the text, where ``name`` stands for the file.
        """
        return cls._of(definition.loads(text, name))

    @classmethod
    def _of(cls, found: definition.Definition) -> Pipeline:
        return cls(
            found.transforms,
            parity=found.parity,
            name=found.name,
            description=found.description,
            input=found.input,
            decode=found.decode,
        )

    @classmethod
    def from_torchvision(cls, transforms: Any, **options: Any) -> Pipeline:
        """The pipeline of torchvision's transforms.

        Args:
            transforms: a ``v2.Compose``, an ``nn.Sequential``, a list, or one transform of
                ``torchvision.transforms.v2``.
            options: as of the constructor.

        Raises:
            InvalidPipeline: some have no counterpart; lists all of them.
        """
        return cls(interchange.from_torchvision(transforms), **options)

    def to_torchvision(self) -> Any:
        """The transforms as a ``torchvision.transforms.v2.Compose``, which gives one sample what this gives it.

        Raises:
            ModuleNotFoundError: torchvision is not installed.
            InvalidPipeline: some have no counterpart, or ``parity`` is Pillow's; lists all of them.
        """
        if self.parity != "torchvision":
            raise InvalidPipeline([Problem(None, "parity", f"{self.parity!r} is nothing that torchvision has")])
        return interchange.to_torchvision(self.transforms)

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}, transforms={[*self.transforms]})"

    @overload
    def __call__(
        self,
        samples: Sequence[Tensor],
        seeds: Sequence[int] | None = None,
        *,
        device: torch.device | str | None = None,
        chunk: int | None = None,
        records: bool = False,
    ) -> Batch: ...
    @overload
    def __call__(
        self,
        samples: Sequence[Any],
        seeds: Sequence[int] | None = None,
        *,
        device: torch.device | str | None = None,
        chunk: int | None = None,
        records: bool = False,
    ) -> Samples: ...
    def __call__(
        self,
        samples: Sequence[Any],
        seeds: Sequence[int] | None = None,
        *,
        device: torch.device | str | None = None,
        chunk: int | None = None,
        records: bool = False,
    ) -> Any:
        """Run the pipeline over N samples.

        Args:
            samples: images ``[C, H, W]``, of any sizes; uint8 as decoded, or floats in [0, 1]. Or nested structures of
                images, videos, masks, boxes and key points (see ``augserve_pipelines.tv_tensors``) and of anything
                else, which stays as it is; PIL images in them become tensors. Nothing is changed in place.
            seeds: a seed for each sample, 0 to 2**64 - 1. Absent: fresh ones, which the result keeps. What acts on a
                whole batch (MixUp, CutMix) draws with the seed after the last one.
            device: where to run. Absent: where the images lie.
            chunk: how many samples to take through the pipeline at once on the CPU; it changes no byte.
            records: whether to keep what was done to each sample.

        Returns:
            The results in the order of the samples: a Batch of images, or the same structures as were given.

        Raises:
            InvalidInput: samples or seeds that cannot be run, such as an image smaller than its crop.
        """
        seeds = _fresh_seeds(len(samples)) if seeds is None else [int(seed) for seed in seeds]
        _check_seeds(samples, seeds)
        if self.batched or not _are_images(samples):
            return self._run_structures(samples, seeds, device, chunk, records)
        _check_images(samples)
        if device is not None:
            samples = [image.to(device, non_blocking=True) for image in samples]
        frames = Frames.of(samples)
        op, _ = self._draw(frames, seeds)
        batch = executor.run(self._plan(op, frames), samples, chunk)
        batch.seeds = seeds
        if records:
            batch.records = self._records(op, frames, seeds)
        return batch

    def decode_and_run(
        self, images: Sequence[Deferred], seeds: Sequence[int], nearly_done: Callable[[], None] | None = None
    ) -> list[Tensor | Exception]:
        """Run the pipeline on the CPU over images that are decoded on the way, by the thread that transforms them.

        What is drawn follows from the sizes that are known before. An image that cannot be decoded, or has another size
        then, fails alone. One that is given several times in a row, for several views, is decoded once.

        Args:
            images: what is known of each, and how to get it.
            seeds: a seed for each.
            nearly_done: called, in another thread, when the last of them is begun: the time for more work.

        Returns:
            The result of each ``[C, h, w]``, or what its ``load`` raised.

        Raises:
            InvalidInput: some cannot be run, whatever their pixels are.
        """
        return executor.run_deferred(*self.plan_deferred(images, seeds), nearly_done)

    def plan_deferred(self, images: Sequence[Deferred], seeds: Sequence[int]) -> tuple[Plan, Sequence[Deferred]]:
        """Draw for images that are not decoded yet; and those images, each as small as ``decode`` lets it be decoded.

        Raises:
            InvalidInput: some cannot be run, whatever their pixels are.
        """
        _check_seeds(images, seeds)
        plan = self.plan(foreseen(images), seeds)
        return _decoded_smaller(plan, images) if self.decode.scale == "dct" else (plan, images)

    @property
    def batched(self) -> bool:
        """Whether some steps act on a whole batch: MixUp, CutMix."""
        return self._together is not None

    @property
    def per_sample(self) -> Pipeline:
        """The pipeline without the steps from the first one on that acts on a whole batch."""
        other = copy.copy(self)
        other._together = None
        return other

    def mix(self, samples: Sequence[Any], seed: int) -> Samples:
        """The steps that act on a whole batch, and those after them, over the results of ``per_sample``.

        Args:
            samples: the results of one batch: structures of one image each, all of one shape, and of labels.
            seed: of what these steps draw, once for the batch.

        Raises:
            InvalidInput: the samples do not make a batch.
        """
        if self._together is None:
            return Samples(samples)
        batch = collated([Sample.of(sample) for sample in samples])
        for transform in self._together.steps():
            transform.check_sample(batch)
        op = self._together.draw(Lanes([seed]), frames_of([batch]))
        return Samples(separated(op.leaves(batch), len(samples)))

    def plan(self, frames: Frames, seeds: Sequence[int]) -> Plan:
        """Draw for images of these frames and fuse what was drawn, before a pixel is read."""
        op, _ = self._draw(frames, seeds)
        return self._plan(op, frames)

    def sketch(self, frames: Frames, seeds: Sequence[int]) -> Op:
        """What would be drawn for samples of these frames, for those who only want to know; noise is left undrawn.

        It is of the steps that act on samples alone, and not fused.

        Raises:
            InvalidInput: the pipeline does not take such samples.
        """
        op, _ = self._draw(frames, seeds, probing=True)
        if self._most_pixels is not None:
            _check_growth(op, frames, self._most_pixels)
        return op

    def _plan(self, op: Op, frames: Frames) -> Plan:
        if self._most_pixels is not None:
            _check_growth(op, frames, self._most_pixels)
        return plan(op, frames)

    def _probed(self) -> Frames:
        """What comes out for photographs, or for videos or with rotated boxes where they are refused."""
        frames, *others = alternatives(self.transforms, self.input.channels, seeds=_PROBE_SEEDS)
        if frames.samples is not None:
            frames, *others = (one[: _PROBE_SEEDS // 2] for one in (frames, *others))
        try:
            return self._outputs(frames)
        except InvalidInput as refusal:
            for other in others:
                with suppress(InvalidInput):
                    return self._outputs(other)
            raise refusal from None

    def _outputs(self, frames: Frames) -> Frames:
        seeds = range(len(frames))
        _, outputs = self._draw(frames, seeds, probing=True)
        if self._together is None:
            return outputs
        try:
            return self._mixed(outputs, None)
        except InvalidInput:
            return self._mixed(outputs, torch.eye(BATCH))  # some take no class numbers

    def _mixed(self, outputs: Frames, labels: Tensor | None) -> Frames:
        assert self._together is not None
        batches = probe_batches(outputs, labels)
        return self._together.draw(Lanes(range(len(outputs)), probing=True), batches).frames(batches)

    def _draw(self, frames: Frames, seeds: Sequence[int], *, probing: bool = False) -> tuple[Op, Frames]:
        """The op of all steps that act on samples alone, and the frames after it."""
        op, done = drawn_in_order(self._alone.steps(), Lanes(seeds, probing=probing), frames)
        op = with_parity(op, self.parity)
        if self._cast is None:
            return op, done
        cast = cast_of_floats(done, self._cast)
        return Chain((op, cast)), after(cast, done)

    @explained()
    def _run_structures(
        self,
        values: Sequence[Any],
        seeds: Sequence[int],
        device: torch.device | str | None,
        chunk: int | None,
        records: bool,
    ) -> Samples:
        samples = read_samples(values, device)
        frames = frames_of(samples)
        op, after_op = self._draw(frames, seeds)
        done = run_samples(op, samples, after_op, self._plan, chunk)
        results = Samples([sample.value() for sample in done], seeds)
        if self.batched:
            results = replace(self.mix(results, (seeds[-1] + 1) % (1 << 64)), seeds=list(seeds))
        return replace(results, records=self._records(op, frames, seeds)) if records else results

    def _records(self, op: Op, frames: Frames, seeds: Sequence[int]) -> list[Record]:
        sizes = zip(frames.heights.tolist(), frames.widths.tolist(), strict=True)
        rows = zip(seeds, sizes, strict=True)
        return [Record.of(op[np.array([i])].calls(), size, seed) for i, (seed, size) in enumerate(rows)]

    def within(self, most_pixels: int) -> Pipeline:
        """The same pipeline, which refuses samples of which a step would make more pixels than this, for each frame.

        For those who do not know what they will be given: RandomZoomOut makes sixteen pixels of one.
        """
        other = copy.copy(self)
        other._most_pixels = most_pixels
        return other

    def giving(self, dtype: torch.dtype) -> Pipeline:
        """The same pipeline, of the same name and fingerprint, with results of floats cast to another dtype of floats.

        Raises:
            ValueError: the dtype is of integers.
        """
        if not dtype.is_floating_point:
            raise ValueError(f"dtype is {dtype}; results of floats are cast to float16, bfloat16, float32 or float64")
        other = copy.copy(self)
        other._cast = dtype
        return other

    def unfinished(self) -> Pipeline:
        """The same pipeline, of the same name and fingerprint, with results of bytes: ``finishing`` is left to others.

        A quarter of the bytes, or a half of what 16-bit floats take, are to be moved so. Its records say what is done
        in all, as those of the whole pipeline do.

        Raises:
            NoFinish: the pipeline ends in more than ``ToDtype`` and ``Normalize``. Where it does not, and what comes
                before these are no bytes, calls raise InvalidInput.
        """
        other = copy.copy(self)
        other._alone = parts(self.transforms).unfinished(self._cast)
        return other

    @property
    def finishing(self) -> Finishing:
        """What makes the results of this pipeline of those of ``unfinished``.

        Raises:
            NoFinish: as ``unfinished`` does.
        """
        found = parts(self.transforms).finishing
        return found if self._cast is None else replace(found, result=self._cast)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the canonical form: equal for pipelines that give equal results."""
        return canonical.fingerprint(self.parity, self.input, self.transforms, self.decode)

    def to_yaml(self) -> str:
        """The canonical YAML, every default spelled out."""
        return canonical.to_yaml(self.description, self.parity, self.input, self.transforms, self.decode)

    def signature(self) -> OutputSignature:
        """What comes out for photographs, found by drawing for several sizes under many seeds.

        Raises:
            InvalidInput: the pipeline cannot run on photographs at all.
        """
        return OutputSignature.of(self._probed())


def _decoded_smaller(plan: Plan, images: Sequence[Deferred]) -> tuple[Plan, list[Deferred]]:
    """The plan for images decoded as small as each may be, and those; one that is given several times stays one."""
    most, mirrored = np.array([image.most_factor for image in images]), np.array([image.mirrored for image in images])
    factors = largest_factors(plan, most, mirrored.reshape(-1, 2))
    kept = {(id(image), factor): image for image, factor in zip(images, factors.tolist(), strict=True)}
    smaller = {key: image.at(key[1]) if key[1] > 1 else image for key, image in kept.items()}
    found = [smaller[id(image), factor] for image, factor in zip(images, factors.tolist(), strict=True)]
    return at_factors(plan, factors, mirrored.reshape(-1, 2)), found


def _fresh_seeds(count: int) -> list[int]:
    """Random seeds of 32 bits, by one call to the system: it takes 4 us."""
    seeds: list[int] = np.frombuffer(secrets.token_bytes(4 * count), np.uint32).tolist()
    return seeds


def _checked(transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    try:
        return tuple(Compose(transforms).transforms) if len(transforms) else ()
    except InvalidParameters as error:
        raise InvalidParameters([replace(one, place="Pipeline.transforms") for one in error.problems]) from None


def _same(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int | None:
    return int(values[0]) if (values == values[0]).all() else None


def _are_images(samples: Sequence[Any]) -> bool:
    """Whether all are plain tensors, of which a pipeline takes each for an image."""
    kinds: dict[type, Any] = {type(sample): sample for sample in samples}  # few, and each is looked at once
    return all(issubclass(kind, Tensor) and kind_of(sample) is Tensor for kind, sample in kinds.items())


def _check_images(images: Sequence[Tensor]) -> None:
    for index, shape in enumerate([image.shape for image in images]):
        if len(shape) != 3 or 0 in shape:
            raise InvalidInput(
                f"image {index} is a tensor of shape {[*shape]}; a tensor [C, H, W] with no empty side is needed"
            )


def _check_growth(op: Op, frames: Frames, most_pixels: int) -> None:
    for step in flat(op):
        frames = step.frames(frames)
        pixels = frames.heights * frames.widths
        if pixels.max(initial=0) > most_pixels:
            row = int(pixels.argmax())
            size = f"{frames.heights[row]} x {frames.widths[row]}"
            raise InvalidInput(f"sample {row} would grow to {size} pixels; at most {most_pixels} are allowed in all")


def _check_seeds(samples: Sequence[Any], seeds: Sequence[int]) -> None:
    if isinstance(samples, Tensor) and samples.ndim == 3:
        raise InvalidInput(
            f"a tensor {[*samples.shape]} is one image; a list of samples, or a tensor [N, C, H, W], is needed"
        )
    if len(samples) != len(seeds):
        raise InvalidInput(f"{len(samples)} samples and {len(seeds)} seeds: one seed for each sample is needed")
    for index, seed in enumerate(seeds):
        if not 0 <= seed < 1 << 64:
            raise InvalidInput(f"seed {index} is {seed}; 0 to 2**64 - 1 is allowed")
