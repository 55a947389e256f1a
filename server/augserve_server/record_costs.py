"""What a replay would cost, from its record alone: a record is anybody's, and its numbers can be any."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

from augserve_pipelines.dispatch import Call
from augserve_pipelines.records import Record
from augserve_server.errors import RecordInvalid

MAX_SUMMANDS: Final = 100_000_000_000
"""Products that a replay may add up in all its blurs: 23 x 23 taps over 60 megapixels of three channels, a minute."""

MAX_CHANNELS: Final = 4

_CROPS: Final = ("five_crop", "ten_crop")


def check_costs(record: Record, max_frames: int) -> None:
    """Raise RecordInvalid where a replay would make far more of a sample than any pipeline does."""
    crops = sum(call.functional.name in _CROPS for call in record.calls)
    if crops > 1:
        raise RecordInvalid(f"makes several crops of each image {crops} times; once is allowed", limit=1)
    for call in record.calls:
        _check_lengths(call, max_frames)
    summands = sum(_summands(record))
    if summands > MAX_SUMMANDS:
        raise RecordInvalid(f"blurs with {summands} products; at most {MAX_SUMMANDS} are allowed", limit=MAX_SUMMANDS)


def _check_lengths(call: Call, max_frames: int) -> None:
    """The lists and numbers that say how many channels or frames come out."""
    name, arguments = call.functional.name, call.arguments
    if name == "normalize":
        channels = max(len(arguments["mean"]), len(arguments["std"]))
        if channels > MAX_CHANNELS:
            raise RecordInvalid(f"has a normalize of {channels} channels; at most {MAX_CHANNELS} are allowed")
    if name == "uniform_temporal_subsample" and arguments["num_samples"] > max_frames:
        raise RecordInvalid(f"asks for {arguments['num_samples']} frames; at most {max_frames} are allowed")


def _summands(record: Record) -> Iterator[int]:
    """Products that each call adds up in a blur, of an image of one channel."""
    size = record.input_size
    for call in record.calls:
        yield prod(size) * _taps(call)
        size = Record.of([call], size).output_size


def _taps(call: Call) -> int:
    """Values of the kernel that a call blurs with, of the noise that it warps with too."""
    if call.functional.name == "gaussian_blur":
        sizes = call.arguments["kernel_size"]
        return sizes**2 if isinstance(sizes, int) else prod(sizes)
    if call.functional.name == "elastic":
        sigmas = getattr(call.arguments["displacement"], "sigma", ())
        return sum(int(8 * sigma + 1) ** 2 for sigma in sigmas)
    return 0
