"""JPEGs by nvImageCodec: here by its decoder for CPUs, which gives the pixels of libjpeg-turbo with chroma repeated."""

from __future__ import annotations

import threading

import pytest
import torch

from augserve_pipelines import DecodeRule, InputRule, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.frames import is_interleaved
from augserve_pipelines.transfer import Transfer
from augserve_server.codecs import Way, decode, peek
from augserve_server.decoding import Encoded, Later, Unwanted
from augserve_server.errors import ImageCorrupt, ImageTruncated
from augserve_server.metrics import Metrics
from augserve_server.nvimage import DeviceDecoder, has_nvimagecodec, takes
from augserve_server.place import Place
from factories import SIZES, make_file, make_files

FAST, EXACT, RGB, L = DecodeRule(jpeg="fast"), DecodeRule(), InputRule(), InputRule(mode="L")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def decoder() -> DeviceDecoder:
    if not has_nvimagecodec():
        pytest.skip("nvImageCodec is not installed: pip install 'augserve[cuda]'")
    return DeviceDecoder(CPU)


def encoded(data: bytes) -> Encoded:
    return Encoded(data, peek(data))


def one(decoder: DeviceDecoder, data: bytes, input: InputRule = RGB) -> torch.Tensor:
    (found,) = decoder.decode([encoded(data)], input).images
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
def test_it_turns_images_upright(decoder: DeviceDecoder, orientation: int) -> None:
    data = make_file("JPEG", (45, 61), orientation=orientation)
    assert torch.equal(one(decoder, data), by_libjpeg(data))
    as_stored = one(decoder, data, InputRule(orientation="ignore"))
    assert torch.equal(as_stored, by_libjpeg(make_file("JPEG", (45, 61))))


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


def test_what_it_fails_on_is_left_out(decoder: DeviceDecoder) -> None:
    jpeg, files = make_file("JPEG", (40, 50)), damaged()
    lie = Encoded(jpeg, peek(make_file("JPEG", (40, 60))))
    found = decoder.decode([lie, *map(encoded, files), encoded(jpeg)], RGB).images
    assert found[0] is None
    assert found[2] is None
    assert torch.equal(found[-1], by_libjpeg(jpeg))  # type: ignore[arg-type]  # it is a tensor


def damaged() -> list[bytes]:
    """JPEGs with an end: of half of its rows; with more Huffman codes than there can be."""
    jpeg = make_file("JPEG", (40, 50))
    bad = bytearray(jpeg)
    tables = jpeg.index(b"\xff\xc4")
    bad[tables + 5 : tables + 21] = b"\xff" * 16
    return [make_file("JPEG", (60, 70))[:1500] + b"\xff\xd9", bytes(bad)]


def test_batches_that_come_at_once_take_turns(decoder: DeviceDecoder) -> None:
    files, count = make_files(5), 3
    together, found = threading.Barrier(count), []

    def decode_some() -> None:
        for _ in range(3):
            together.wait(10)
            found.append(decoder.decode([encoded(data) for data in files], RGB).images)

    threads = [threading.Thread(target=decode_some) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 3 * count
    for images in found:
        assert all(torch.equal(image, by_libjpeg(data)) for image, data in zip(images, files, strict=True))  # type: ignore[arg-type]  # they are tensors


def test_a_batch_is_decoded_where_its_pipeline_lets_it(decoder: DeviceDecoder) -> None:
    place, metrics = Place(CPU, Transfer(CPU)), Metrics()
    pipeline = Pipeline([T.CenterCrop(8)], decode=FAST)
    jpeg, cut, cmyk = make_file("JPEG", (40, 50)), make_file("JPEG", (60, 70)), make_file("JPEG", (20, 30), "CMYK")
    stray, rgb, webp = (
        jpeg[:-2] + b"\0\0\0" + jpeg[-2:],
        make_file("JPEG", (40, 50), keep_rgb=True),
        make_file("WEBP", (40, 50)),
    )
    files = [jpeg, cut[: len(cut) // 2], cmyk, jpeg, damaged()[1], stray, rgb, webp]
    images = [
        Later(one, RGB, one.shape(RGB), metrics, lambda i=i: i != 3, Way("fast"))  # type: ignore[arg-type, misc]  # all say their shapes
        for i, one in enumerate(map(encoded, files))
    ]
    found = place.decode_and_run(pipeline, [*images, images[0]], [0] * 9, lambda: None)
    for i in (0, 2, 5, 6, 7):
        assert torch.equal(found[i], pipeline([by_libjpeg(files[i])], [0])[0]), i  # type: ignore[arg-type]  # these are tensors
    assert torch.equal(found[8], found[0])  # type: ignore[arg-type]  # these are tensors
    assert [type(found[i]) for i in (1, 3, 4)] == [ImageTruncated, Unwanted, ImageCorrupt]
    assert metrics.registry.get_sample_value("augserve_decoded_images_total") == 7
    place.close()
