"""The compiled resize of decoded pictures gives torch's bytes, and reads no byte that is not the picture's."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from parity import channels_last
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels.resample import resample_image
from augserve_pipelines.kernels.resample_pixels import Window, arithmetic, every_byte, resample_pixels, takes
from augserve_pipelines.transforms.conversion import CastTo
from augserve_pipelines.transforms.normalize import Finish, Standardize
from factories import make_image, make_noise

SIZES = [((1, 1), (16, 16)), ((7, 13), (20, 17)), ((60, 47), (33, 31)), ((200, 160), (24, 40)), ((40, 300), (40, 96))]
SMOOTH = [InterpolationMode.BILINEAR, InterpolationMode.BICUBIC]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resampled(image: Tensor, window: Window, mode: InterpolationMode, antialias: bool = True) -> Tensor:
    out = torch.full((3, *window.target[2:]), 77, dtype=torch.uint8)
    resample_pixels(image, window, mode, antialias, None, out)
    return out


def expected(image: Tensor, window: Window, mode: InterpolationMode, antialias: bool = True) -> Tensor:
    top, left, height, width = window.source
    part = image[:, top : top + height, left : left + width].contiguous()
    done = resample_image(part, (window.size[0], window.size[1]), mode, antialias)
    top, left, height, width = window.target
    done = done[:, top : top + height, left : left + width]
    return done.flip(-1) if window.mirrored else done


@pytest.mark.parametrize("mode", SMOOTH)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("size", "result"), SIZES)
def test_whole_images_have_the_bytes_of_torch(
    size: tuple[int, int], result: tuple[int, int], antialias: bool, mode: InterpolationMode
) -> None:
    for image in (make_image(size), make_noise(size)):
        for mirrored in (False, True):
            window = Window((0, 0, *size), result, (0, 0, *result), mirrored)
            assert torch.equal(
                resampled(channels_last(image), window, mode, antialias), expected(image, window, mode, antialias)
            )


@given(data=st.data())
def test_windows_of_an_image_and_of_the_result(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 90), "height"), data.draw(st.integers(1, 90), "width")
    top, left = data.draw(st.integers(0, height - 1), "top"), data.draw(st.integers(0, width - 1), "left")
    rows, columns = data.draw(st.integers(1, height - top), "rows"), data.draw(st.integers(1, width - left), "columns")
    size = data.draw(st.integers(1, 70), "size down"), data.draw(st.integers(16, 70), "size across")
    first = data.draw(st.integers(0, size[0] - 1), "first"), data.draw(st.integers(0, size[1] - 16), "first across")
    kept = data.draw(st.integers(1, size[0] - first[0])), data.draw(st.integers(16, size[1] - first[1]))
    image = make_noise((height, width), seed=height)
    window = Window((top, left, rows, columns), size, (*first, *kept), data.draw(st.booleans(), "mirrored"))
    mode = data.draw(st.sampled_from(SMOOTH), "mode")
    assert torch.equal(resampled(channels_last(image), window, mode), expected(image, window, mode))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 1), (1, 9), (21, 34), (4, 341)])
def test_nothing_behind_the_image_is_read(size: tuple[int, int]) -> None:
    """The image ends where a page begins that nobody may read: a byte too far ends the process."""
    image = at_the_end_of_memory(make_noise(size))
    window = Window((0, 0, *size), (18, 19), (0, 0, 18, 19), False)
    assert torch.equal(resampled(image, window, SMOOTH[1]), expected(image, window, SMOOTH[1]))


def at_the_end_of_memory(image: Tensor) -> Tensor:
    pages = -(-image.numel() // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    array = np.frombuffer(memory, np.uint8)
    guarded = array.ctypes.data + pages * mmap.PAGESIZE
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(guarded), mmap.PAGESIZE, 0) == 0
    end = pages * mmap.PAGESIZE
    copy = array[end - image.numel() : end].reshape(*image.shape[1:], 3)
    copy[:] = image.permute(1, 2, 0).numpy()
    return torch.from_numpy(copy).permute(2, 0, 1)


def test_only_decoded_pictures_are_taken() -> None:
    picture = channels_last(make_image((20, 30)))
    assert takes(picture, 16)
    refused = [picture.contiguous(), picture.float(), picture[:1], picture.unsqueeze(0), picture[:, :, ::2]]
    assert not any(takes(image, 16) for image in refused)
    assert not takes(picture, 15)
    assert not takes(picture[:, :1].expand(3, 20, 30), 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@given(values=st.lists(st.floats(-3, 3), min_size=3, max_size=3), spread=st.floats(0.01, 20))
def test_the_arithmetic_of_floats_is_torchs(dtype: torch.dtype, values: list[float], spread: float) -> None:
    deviations = (spread, spread / 3, spread * 7)
    finish = Finish(CastTo(torch.float32, True), Standardize(tuple(values), deviations), dtype)
    found = every_byte(arithmetic(1.0 / 255, tuple(values), deviations, dtype))
    assert torch.equal(found, finish.tables(3)[0])
    assert finish.arithmetic() is not None


def test_arithmetic_that_differs_in_a_byte_is_not_used() -> None:
    tiny = Finish(CastTo(torch.float32, True), Standardize((0.0,) * 3, (1e-39,) * 3), torch.float32)
    assert tiny.arithmetic() is None  # the inverse is an infinity
    wide = Finish(CastTo(torch.float64, True), Standardize(MEAN, STD), torch.float64)
    assert wide.arithmetic() is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_pipeline_gives_the_same_for_planes_and_pixels(dtype: torch.dtype) -> None:
    steps = [T.RandomResizedCrop((33, 47)), T.RandomHorizontalFlip(), T.ToDtype(torch.float32, scale=True)]
    pipeline = Pipeline([*steps, T.Normalize(MEAN, STD)]).giving(dtype)
    images = [make_image((50 + i, 90 - i)) for i in range(8)]
    planes, pixels = pipeline(images, range(8)).stack(), pipeline([*map(channels_last, images)], range(8)).stack()
    assert torch.equal(planes, pixels)


def test_large_results_have_torchs_bytes_too() -> None:
    image = make_image((2000, 3000))
    window = Window((5, 7, 1990, 2980), (448, 448), (0, 0, 448, 448), False)
    interpolated = F.interpolate(
        image[None, :, 5:1995, 7:2987].contiguous(memory_format=torch.channels_last),
        (448, 448),
        mode="bicubic",
        antialias=True,
    )
    assert torch.equal(resampled(channels_last(image), window, InterpolationMode.BICUBIC), interpolated[0])
