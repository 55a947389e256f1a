"""JPEGs by nvImageCodec: here by its decoder for CPUs, which gives the pixels of libjpeg-turbo with chroma repeated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from augserve_pipelines import DecodeRule, InputRule, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.frames import is_interleaved
from augserve_pipelines.transfer import Transfer
from augserve_server.codecs import Way, decode, peek
from augserve_server.decoding import Decoder, Encoded, Unwanted
from augserve_server.errors import ImageCorrupt, ImageTruncated
from augserve_server.headers import JpegHeader
from augserve_server.metrics import Metrics
from augserve_server.nvimage import DeviceDecoder, Window, has_nvimagecodec, stored_window, takes
from augserve_server.pixels import turn
from augserve_server.place import Place
from factories import SIZES, make_file, make_pixels

FAST, EXACT, RGB, L = DecodeRule(jpeg="fast"), DecodeRule(), InputRule(), InputRule(mode="L")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def decoder() -> DeviceDecoder:
    if not has_nvimagecodec():
        pytest.skip("nvImageCodec is not installed: pip install 'augserve[cuda]'")
    return DeviceDecoder(CPU)


def encoded(data: bytes) -> Encoded:
    return Encoded(data, peek(data))


def one(decoder: DeviceDecoder, data: bytes, input: InputRule = RGB, window: Window | None = None) -> torch.Tensor:
    (found,) = decoder.decode([encoded(data)], input, FAST, [window] if window else None)
    assert isinstance(found, torch.Tensor), found
    return found


def by_libjpeg(data: bytes, input: InputRule = RGB) -> torch.Tensor:
    return torch.from_numpy(decode(data, peek(data), input, Way("fast"))).permute(2, 0, 1)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"mode": "L"}], ids=str)
def test_it_takes_baseline_and_progressive_jpegs(decoder: DeviceDecoder, options: dict[str, object]) -> None:
    for size in SIZES:
        data = make_file("JPEG", size, **options)
        assert takes(encoded(data), FAST)
        found = one(decoder, data)
        assert torch.equal(found, by_libjpeg(data))
        assert found.is_contiguous() or is_interleaved(found)


def test_brightness_is_that_of_the_file(decoder: DeviceDecoder) -> None:
    gray, colour = make_file("JPEG", (50, 60), "L"), make_file("JPEG", (50, 60))
    assert torch.equal(one(decoder, gray, L), by_libjpeg(gray, L))
    difference = one(decoder, colour, L).int() - by_libjpeg(colour, L).int()
    assert difference.float().abs().mean() < 1  # by clipping, 8 levels at most were measured


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("window", [None, (5, 7, 20, 31)])
def test_it_turns_images_and_windows_upright(decoder: DeviceDecoder, orientation: int, window: Window | None) -> None:
    data = make_file("JPEG", (45, 61), orientation=orientation)
    expected = by_libjpeg(data)
    if window:
        top, left, height, width = window
        expected = expected[:, top : top + height, left : left + width]
    assert torch.equal(one(decoder, data, RGB, window), expected)
    assert torch.equal(
        one(decoder, data, InputRule(orientation="ignore")).mT.mT, by_libjpeg(make_file("JPEG", (45, 61)))
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_are_found_in_what_is_stored(orientation: int) -> None:
    stored = make_pixels(size=(45, 61))
    upright = turn(stored, orientation)
    for window in ((0, 0, 1, 1), (5, 7, 20, 31), (0, 0, *upright.shape[:2])):
        top, left, height, width = stored_window(window, JpegHeader("JPEG", 61, 45, orientation), orientation)
        part = np.ascontiguousarray(stored[top : top + height, left : left + width])
        top, left, height, width = window
        assert np.array_equal(turn(part, orientation), upright[top : top + height, left : left + width])


@pytest.mark.parametrize(
    "data",
    [
        make_file("PNG", (40, 50)),
        make_file("JPEG", (40, 50), "CMYK"),
        make_file("JPEG", (40, 50), keep_rgb=True),
        make_file("JPEG", (40, 50)).removesuffix(b"\xff\xd9"),
    ],
    ids=["PNG", "four inks", "red, green and blue", "without an end"],
)
def test_it_leaves_the_rest_to_the_cpu(data: bytes) -> None:
    assert not takes(encoded(data), FAST)


def test_it_takes_nothing_that_is_to_be_exact() -> None:
    assert not takes(encoded(make_file()), EXACT)


def test_each_image_of_a_batch_is_decoded_or_fails_alone(decoder: DeviceDecoder) -> None:
    jpeg, png = make_file("JPEG", (40, 50)), make_file("PNG", (30, 20))
    cut = make_file("JPEG", (60, 70))
    damaged = bytearray(jpeg)
    tables = jpeg.index(b"\xff\xc4")
    damaged[tables + 5 : tables + 21] = b"\xff" * 16  # more Huffman codes than there can be
    stray = jpeg[:-2] + b"\0\0\0" + jpeg[-2:]
    rgb = make_file("JPEG", (40, 50), keep_rgb=True)
    files = [jpeg, png, cut[: len(cut) // 2], bytes(damaged), stray, rgb, png[:-40]]
    found = decoder.decode([encoded(data) for data in files], RGB, FAST)
    for i in (0, 1, 4, 5):
        assert torch.equal(found[i], by_libjpeg(files[i])), i  # type: ignore[arg-type]  # these are tensors
    assert [type(found[i]) for i in (2, 3, 6)] == [ImageTruncated, ImageCorrupt, ImageTruncated]


def test_what_is_decoded_is_what_was_announced(decoder: DeviceDecoder) -> None:
    data = make_file("JPEG", (40, 50))
    lie = Encoded(data, peek(make_file("JPEG", (40, 60))))
    (found,) = decoder.decode([lie], RGB, FAST)
    assert isinstance(found, ImageCorrupt)


def test_the_cpu_decodes_exactly_where_that_is_asked_for(decoder: DeviceDecoder) -> None:
    data = make_file("JPEG", (40, 50))
    (found,) = decoder.decode([encoded(data)], RGB, EXACT, [(1, 2, 30, 40)])
    exact = torch.from_numpy(decode(data, peek(data), RGB)).permute(2, 0, 1)
    assert torch.equal(found, exact[:, 1:31, 2:42])  # type: ignore[arg-type]  # it is a tensor


def test_a_batch_is_decoded_where_its_pipeline_lets_it(decoder: DeviceDecoder) -> None:
    place, later = Place(CPU, Transfer(CPU)), Decoder(1, Metrics())
    pipeline = Pipeline([T.CenterCrop(8)], decode=FAST)
    jpeg, cut, cmyk = make_file("JPEG", (40, 50)), make_file("JPEG", (60, 70)), make_file("JPEG", (20, 30), "CMYK")
    images = [encoded(jpeg), encoded(cut[: len(cut) // 2]), encoded(cmyk), encoded(jpeg)]
    wanted = [later.later(image, RGB, FAST, lambda i=i: i < 3) for i, image in enumerate(images)]
    first, second, third, fourth, again = place.load(pipeline, [*wanted, wanted[0]])
    assert torch.equal(first, by_libjpeg(jpeg))
    assert isinstance(second, ImageTruncated)
    assert torch.equal(third, by_libjpeg(cmyk))
    assert isinstance(fourth, Unwanted)
    assert again is first
    place.close()
    later.close()
