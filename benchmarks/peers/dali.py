"""NVIDIA DALI in this process: JPEG files in, float16 tensors out, on the CPU or with its decoder on the GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def, types

from benchmarks.measure import rate

NAME = "DALI"
REMARK = "not the same pixels: resizes in float, and draws its own crops"
BATCH = 32
_MEAN, _STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]

_running: dict[tuple[int, bool, bool], Any] = {}


def cpu_rate(files: Sequence[bytes], threads: int, seconds: float, *, fused: bool = False) -> float:
    """Images a second on so many threads; ``fused`` decodes no more than the crop needs.

    The pipeline is made at the first call and kept: call it with the same files.
    """
    return _rate(files, threads, seconds, cuda=False, fused=fused, batch=BATCH)


def cuda_rate(files: Sequence[bytes], threads: int, seconds: float, batch: int) -> float:
    """Images a second with decoding and all else on the first GPU, results left there."""
    return _rate(files, threads, seconds, cuda=True, fused=False, batch=batch)


def _rate(files: Sequence[bytes], threads: int, seconds: float, *, cuda: bool, fused: bool, batch: int) -> float:
    key = (batch, cuda, fused)
    if key not in _running:
        _running[key] = _built(files, threads, cuda=cuda, fused=fused, batch=batch)
    pipeline = _running[key]
    return rate(lambda: len(pipeline.run()[0]), seconds)


def _built(files: Sequence[bytes], threads: int, *, cuda: bool, fused: bool, batch: int) -> Any:
    source = _batches([np.frombuffer(file, np.uint8) for file in files], batch)
    decode = "mixed" if cuda else "cpu"

    @pipeline_def(batch_size=batch, num_threads=threads, device_id=0 if cuda else None, prefetch_queue_depth=2)
    def imagenet_train() -> Any:
        encoded = fn.external_source(source=source, batch=True, dtype=types.UINT8)
        if fused:
            crop = fn.decoders.image_random_crop(encoded, device=decode, output_type=types.RGB)
            resized = fn.resize(crop, size=(224, 224))
        else:
            resized = fn.random_resized_crop(fn.decoders.image(encoded, device=decode), size=(224, 224))
        return fn.crop_mirror_normalize(
            resized, mirror=fn.random.coin_flip(), dtype=types.FLOAT16, output_layout="CHW", mean=_MEAN, std=_STD
        )

    pipeline = imagenet_train()
    pipeline.build()
    pipeline.run()
    return pipeline


def _batches(arrays: Sequence[Any], size: int) -> Callable[[int], list[Any]]:
    return lambda turn: [arrays[(turn * size + place) % len(arrays)] for place in range(size)]
