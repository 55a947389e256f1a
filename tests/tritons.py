"""Asking as stock clients of the Open Inference Protocol ask: small pipelines, and inputs of tritonclient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
import torch
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from factories import make_picture
from oracle import v2

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

PIPELINES: Final[Mapping[str, str]] = {
    "train": f"""
transforms:
  - RandomResizedCrop: {{size: 32}}
  - RandomHorizontalFlip
  - ToDtype: {{dtype: float32, scale: true}}
  - Normalize: {{mean: {MEAN}, std: {STD}}}
""",
    "ragged": "transforms: [RandomVerticalFlip]",
    "crop": "transforms: [{RandomCrop: {size: [40, 48]}}]",
    "gray": "input: {mode: L}\ntransforms: [RandomHorizontalFlip]",
    "mix": """
transforms:
  - RandomResizedCrop: {size: 32}
  - ToDtype: {dtype: float32, scale: true}
  - MixUp: {num_classes: 10}
""",
}
THEIRS: Final[Mapping[str, Any]] = {
    "train": v2.Compose(
        [
            v2.RandomResizedCrop(32),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    ),
    "ragged": v2.RandomVerticalFlip(),
    "crop": v2.RandomCrop((40, 48)),
}


def write_pipelines(folder: Path) -> Path:
    """The folder, with the pipelines in it."""
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def theirs(name: str, size: tuple[int, int], seed: int, photograph: str = "china") -> npt.NDArray[Any]:
    """What torchvision makes of a photograph that was sent as PNG."""
    image = v2.functional.to_image(make_picture(photograph, size))
    torch.manual_seed(seed)
    result: npt.NDArray[Any] = THEIRS[name](image).numpy()
    return result


def tensor(name: str, values: npt.NDArray[Any], *, binary: bool = True) -> triton.InferInput:
    """An input with these values."""
    datatype = np_to_triton_dtype(values.dtype)
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def strings(name: str, elements: Sequence[bytes | str]) -> triton.InferInput:
    """An input of BYTES [N]."""
    values = np.empty(len(elements), np.object_)
    values[:] = [each.encode() if isinstance(each, str) else each for each in elements]
    return tensor(name, values)


def outputs(*names: str, binary: bool = True) -> list[triton.InferRequestedOutput]:
    """What is to be sent back."""
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


@contextmanager
def refused(status: int, words: str) -> Iterator[None]:
    """What a stock client raises: the status as text, and the words of the error."""
    with pytest.raises(InferenceServerException) as caught:
        yield
    assert caught.value.status() == str(status), caught.value
    assert words in caught.value.message(), caught.value
