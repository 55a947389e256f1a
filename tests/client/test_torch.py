from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from augserve.bodies import reader
from augserve.wire import NPY, SAFETENSORS, TENSOR_NAME, write_npy_header, write_safetensors

DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32)


def body_of(tensor: torch.Tensor) -> bytearray:
    data = memoryview(tensor.contiguous().view(torch.uint8).numpy()).cast("B")
    dtype = str(tensor.dtype).removeprefix("torch.")
    return bytearray(b"".join(write_safetensors({TENSOR_NAME: (dtype, tensor.shape, data)})))


def values_of(dtype: torch.dtype) -> torch.Tensor:
    """Every value that a type of 16 bits or less has, without its NaNs; some of a larger one. [3, C, H, W]."""
    if dtype == torch.float32:
        return torch.randn(3, 4, 5, 6)
    if dtype == torch.uint8:
        return torch.arange(3 * 4 * 5 * 6).to(torch.uint8).reshape(3, 4, 5, 6)
    bits = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    bits = bits[~bits.isnan()]
    return bits[: len(bits) // 12 * 12].reshape(3, 2, 2, -1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_arrive_exactly(dtype: torch.dtype) -> None:
    sent = values_of(dtype)
    block = reader("torch").one(body_of(sent), SAFETENSORS)
    assert block.dtype == dtype
    assert torch.equal(block, sent)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_hold_the_same_values_and_bfloat16_as_float32(dtype: torch.dtype) -> None:
    sent = values_of(dtype)
    block = reader("numpy").one(body_of(sent), SAFETENSORS)
    widened = sent.float() if dtype == torch.bfloat16 else sent
    assert block.dtype == widened.numpy().dtype
    assert np.array_equal(block, widened.numpy())


def test_an_answer_becomes_a_tensor_where_it_lies() -> None:
    body = body_of(values_of(torch.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of memory that it may not write
        reader("torch").one(body, SAFETENSORS).zero_()
    assert bytes(body[-16:]) == bytes(16)


def test_an_answer_becomes_an_array_where_it_lies() -> None:
    body = body_of(values_of(torch.float16))
    reader("numpy").one(body, SAFETENSORS)[...] = 0
    assert bytes(body[-16:]) == bytes(16)


@pytest.mark.parametrize("form", ["numpy", "torch"])
@pytest.mark.parametrize("shift", range(1, 8))
def test_a_body_at_an_odd_address_is_moved(form: str, shift: int) -> None:
    sent = torch.randn(3, 4, 5)
    body = body_of(sent)
    inside = memoryview(bytearray(shift) + body)[shift:]
    result = torch.as_tensor(reader(form).one(inside, SAFETENSORS))
    assert result.data_ptr() % 4 == 0
    assert torch.equal(result, sent)


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_a_body_that_may_not_be_written_is_copied(form: str) -> None:
    sent = torch.randn(3, 4, 5)
    result = reader(form).one(bytes(body_of(sent)), SAFETENSORS)
    result[...] = 0
    assert float(result.sum()) == 0


@pytest.mark.parametrize("form", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "u1"])
def test_npy_is_read_as_well(form: str, dtype: str) -> None:
    sent = np.arange(24).reshape(2, 3, 4).astype(dtype)
    header = write_npy_header(sent.dtype.newbyteorder("<").name, sent.shape)
    body = header.replace(b"'<f", b"'>f") if dtype[0] == ">" else header
    result = reader(form).one(bytearray(body + sent.tobytes()), NPY)
    assert np.array_equal(np.asarray(result), sent)
