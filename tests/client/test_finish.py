"""Bytes are finished to torch's floats bit for bit, in numpy and in torch, for every byte."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augserve.torch import finish_tensor
from augserve.wire import Finish
from augserve_pipelines import Finishing, NoFinish, Pipeline
from augserve_pipelines.transforms import Normalize, ToDtype
from oracle import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DTYPES = ("float16", "bfloat16", "float32", "float64")
EVERY_BYTE = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)  # in each of three channels
NUMBERS = st.floats(-1e3, 1e3) | st.floats(-1.0, 1.0)


def finish_of(steps: list[Any], result: str | None = None) -> Finish:
    """What travels for a pipeline of these steps."""
    pipeline = Pipeline(steps)
    found = pipeline.finishing if result is None else pipeline.giving(getattr(torch, result)).finishing
    return written(found)


def written(found: Finishing) -> Finish:
    dtype, result = (str(one).removeprefix("torch.") for one in (found.dtype, found.result))
    made = Finish.model_validate(
        {"dtype": dtype, "scale": found.scale, "mean": found.mean, "std": found.std, "result": result}
    )
    assert Finish.read(made.write()) == made
    return made


def by_torchvision(pixels: torch.Tensor, dtype: str, result: str, mean: Any, std: Any, scale: bool) -> torch.Tensor:
    image = v2.functional.to_dtype(pixels, getattr(torch, dtype), scale)
    return v2.functional.normalize(image, list(mean), list(std)).to(getattr(torch, result))


def assert_finished(finish: Finish, expected: torch.Tensor) -> None:
    tensor = finish_tensor(finish, EVERY_BYTE)
    assert tensor.dtype == expected.dtype
    assert bits(tensor) == bits(expected)
    array = finish.to_numpy(EVERY_BYTE.numpy())
    widened = expected.float() if expected.dtype == torch.bfloat16 else expected
    assert array.dtype == widened.numpy().dtype
    assert array.tobytes() == widened.numpy().tobytes()  # signs of zeros too
    assert array.flags.c_contiguous
    assert array.flags.writeable


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("result", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_byte_in_every_type(dtype: str, result: str, scale: bool) -> None:
    steps = [ToDtype(dtype, scale=scale), Normalize(MEAN, STD)]
    assert_finished(finish_of(steps, result), by_torchvision(EVERY_BYTE, dtype, result, MEAN, STD, scale))


@pytest.mark.parametrize("result", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_without_normalize(dtype: str, result: str) -> None:
    expected = v2.functional.to_dtype(EVERY_BYTE, getattr(torch, dtype), scale=True).to(getattr(torch, result))
    finish = finish_of([ToDtype(dtype, scale=True)], result)
    assert (finish.mean, finish.std) == (None, None)
    assert_finished(finish, expected)


@given(
    dtype=st.sampled_from(DTYPES),
    result=st.sampled_from(DTYPES),
    mean=st.lists(NUMBERS, min_size=3, max_size=3) | st.lists(NUMBERS, min_size=1, max_size=1),
    std=st.lists(NUMBERS.filter(bool), min_size=3, max_size=3) | st.lists(NUMBERS.filter(bool), min_size=1, max_size=1),
    scale=st.booleans(),
)
def test_any_mean_and_std(dtype: str, result: str, mean: list[float], std: list[float], scale: bool) -> None:
    try:
        finish = finish_of([ToDtype(dtype, scale=scale), Normalize(mean, std)], result)
    except NoFinish:  # a std that is 0 in its type
        assert not torch.tensor(std, dtype=getattr(torch, dtype)).all()
        return
    assert_finished(finish, by_torchvision(EVERY_BYTE, dtype, result, mean, std, scale))
