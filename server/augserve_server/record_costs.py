"""What a replay would cost, from its record alone: a record is anybody's, and its numbers can be any."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

from augserve_pipelines.dispatch import Call
from augserve_pipelines.records import Record, Step
from augserve_server.errors import RecordInvalid

MAX_SUMMANDS: Final = 200_000_000_000
"""Products that a replay may add up: 23 x 23 taps over 126 megapixels of three channels, half a minute on two cores."""

MAX_CHANNELS: Final = 4

_CROPS: Final = {"five_crop": 5, "ten_crop": 10}
_PRODUCTS_OF_A_MIXED_OPERATION: Final = 50  # for each number; an affine map of AugMix takes as long


def check_costs(record: Record, max_frames: int) -> None:
    """Raise RecordInvalid where a replay would make far more of a sample than any pipeline does."""
    crops = sum(call.functional.name in _CROPS for call in record.calls)
    if crops > 1:
        raise RecordInvalid(f"makes several crops of each image {crops} times; once is allowed", limit=1)
    for call in record.calls:
        _check_lengths(call, max_frames)


def _check_lengths(call: Call, max_frames: int) -> None:
    """The lists and numbers that say how many channels or frames come out."""
    name, arguments = call.functional.name, call.arguments
    if name == "normalize":
        channels = max(len(arguments["mean"]), len(arguments["std"]))
        if channels > MAX_CHANNELS:
            raise RecordInvalid(f"has a normalize of {channels} channels; at most {MAX_CHANNELS} are allowed")
    if name == "uniform_temporal_subsample" and arguments["num_samples"] > max_frames:
        raise RecordInvalid(f"asks for {arguments['num_samples']} frames; at most {max_frames} are allowed")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a replay makes of one sample: its pictures, the pixels of each, and the most pixels of all after a call."""

    summands: int
    copies: int
    output_pictures: int
    output_pixels: int
    most: int

    def check(self) -> None:
        """Raise RecordInvalid where it is more work than can be done in time: nothing stops a call in the middle."""
        if self.summands > MAX_SUMMANDS:
            raise RecordInvalid(
                f"adds up {self.summands} products of this sample; at most {MAX_SUMMANDS} are allowed",
                limit=MAX_SUMMANDS,
            )


def cost_of(record: Record, frames: int, masks: int) -> Cost:
    """The cost of a replay on a sample of so many frames, 1 of an image, and masks."""
    summands, copies, pixels = 0, 1, prod(record.input_size)
    most = pixels * (frames + masks)
    for step in record.steps():
        summands += _summands(step, frames * copies)
        copies *= _CROPS.get(step.call.functional.name, 1)
        frames = max(step.call.arguments.get("num_samples", frames), 0) if frames else 0
        pixels = step.after
        most = max(most, pixels * (frames + masks) * copies)
    return Cost(summands, copies, frames * copies, pixels, most)


def _summands(step: Step, pictures: int) -> int:
    """Products that a call adds up, of three channels each."""
    name, arguments = step.call.functional.name, step.call.arguments
    if name == "gaussian_blur":
        sizes = arguments["kernel_size"]
        return 3 * pictures * step.before * (sizes**2 if isinstance(sizes, int) else prod(sizes))
    if name == "mix_chains":
        calls = sum(map(len, arguments["chains"]))
        return 3 * pictures * step.before * calls * _PRODUCTS_OF_A_MIXED_OPERATION
    if name == "elastic":  # its noise is smoothed, once for all pictures
        sigmas = getattr(arguments["displacement"], "sigma", ())
        return step.before * sum(int(8 * sigma + 1) ** 2 for sigma in sigmas)
    return 0
