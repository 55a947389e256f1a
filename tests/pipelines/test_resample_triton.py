"""The kernel for ragged batches, in Triton's interpreter, against the reference, torchvision and Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_same, channels_last
from PIL import Image
from torch import Tensor

from augserve_pipelines import Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.kernels import resample
from augserve_pipelines.kernels.launching import interpreted
from augserve_pipelines.kernels.lookup import lookup
from augserve_pipelines.kernels.resample import Parity, resize_uint8
from augserve_pipelines.kernels.windows import Windows
from factories import make_image, make_noise
from oracle import tv_functional

triton = pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="kernels are not interpreted where they run")

SMOOTH = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC, InterpolationMode.LANCZOS)
Row = tuple[tuple[int, ...], tuple[int, int], tuple[int, ...], bool]  # source, size, target, flip
OF_PILLOW = (*SMOOTH, InterpolationMode.BOX, InterpolationMode.HAMMING)
EXACT = ("imagenet_train", "imagenet_eval", "clip_eval", "thumbnail", "seed_example", "preview", "imagenet_randaugment")
SHIPPED = Path(__file__).resolve().parents[2] / "configs/pipelines"


def launch(
    images: Sequence[Tensor],
    rows: Sequence[Row],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool = True,
    parity: Parity = "torchvision",
    *,
    tables: Tensor | None = None,
    last: bool = False,
) -> Tensor:
    """What the kernel makes of images, into memory that held something else."""
    from augserve_pipelines.kernels.resample_triton import resample_batch

    source, size, target, flip = (np.array(column) for column in zip(*rows, strict=True))
    dtype = torch.uint8 if tables is None else tables.dtype
    shape = len(images), *images[0].shape[:-2], *rows[0][2][2:]
    out = torch.full(shape, 77, dtype=dtype)  # no element may stay so
    out = out.contiguous(memory_format=torch.channels_last) if last else out
    resample_batch(images, Windows(source, size, target, flip, interpolation, antialias, parity), out, tables)
    return out


def whole(
    image: Tensor, size: tuple[int, int], flip: bool = False
) -> tuple[tuple[int, ...], tuple[int, int], tuple[int, ...], bool]:
    return (0, 0, *image.shape[-2:]), size, (0, 0, *size), flip


def expected(
    image: Tensor,
    row: Row,
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool = True,
    parity: Parity = "torchvision",
) -> Tensor:
    (top, left, height, width), size, target, flip = row
    window = image[None, :, top : top + height, left : left + width]
    resized = resize_uint8(window, size, interpolation, antialias, parity)[0]
    top, left, height, width = target
    resized = resized[:, top : top + height, left : left + width]
    return resized.flip(-1) if flip else resized


@pytest.mark.parametrize("interpolation", SMOOTH)
@pytest.mark.parametrize("channels", [1, 3])
def test_mixed_scales_in_one_launch_give_torchvisions_bytes(interpolation: InterpolationMode, channels: int) -> None:
    sizes = [(1, 1), (7, 13), (13, 7), (40, 3), (9, 17), (25, 30)]
    images = [make_noise(size, channels=channels, seed=seed) for seed, size in enumerate(sizes)]
    images = [channels_last(image) if place % 2 else image for place, image in enumerate(images)]
    made = launch(images, [whole(image, (9, 17)) for image in images], interpolation)
    for image, result in zip(images, made, strict=True):
        assert torch.equal(result, tv_functional.resize_image(image, [9, 17], interpolation.value, antialias=True))


@pytest.mark.parametrize("interpolation", OF_PILLOW)
def test_the_other_parity_gives_pillows_bytes(interpolation: InterpolationMode) -> None:
    images = [make_noise(size) for size in ((7, 13), (30, 9), (24, 17))]
    made = launch(images, [whole(image, (9, 17)) for image in images], interpolation, parity="pillow")
    for image, result in zip(images, made, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        resized = picture.resize((17, 9), Image.Resampling[interpolation.name])
        assert torch.equal(result, torch.from_numpy(np.array(resized)).permute(2, 0, 1))


def test_a_large_photograph_becomes_a_small_one() -> None:
    image = make_image((423, 213), channels=1)
    made = launch([image], [whole(image, (40, 31), True)])
    assert torch.equal(made[0], tv_functional.resize_image(image, [40, 31], antialias=True).flip(-1))


@pytest.mark.parametrize("parity", ["torchvision", "pillow"])
def test_the_height_goes_first_where_it_does_in_pillow(monkeypatch: pytest.MonkeyPatch, parity: Parity) -> None:
    images = [make_noise(size, seed=seed) for seed, size in enumerate([(40, 18), (41, 20), (20, 41)])]
    rows = [whole(image, (12, 18), flip) for image, flip in zip(images, (True, False, True), strict=True)]
    made = []
    for may in (True, False):
        monkeypatch.setattr(resample, "_PILLOW_MAY_GO_DOWN_FIRST", may)
        made.append(launch(images, rows, InterpolationMode.BICUBIC, parity=parity))
        for image, row, result in zip(images, rows, made[-1], strict=True):
            assert torch.equal(result, expected(image, row, InterpolationMode.BICUBIC, parity=parity))
    assert torch.equal(*made) == (parity == "torchvision")


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("last", [False, True])
def test_channels_and_layouts(channels: int, last: bool) -> None:
    images = [make_noise((19, 23), channels=channels, seed=seed) for seed in range(4)]
    wide = make_noise((40, 50), channels=channels)
    images[1] = channels_last(images[1])
    images[2] = wide[:, 2::2, 4::2]  # with gaps
    images[3] = make_noise((23, 19), channels=channels).mT
    rows = [whole(image, (8, 35), place % 2 == 0) for place, image in enumerate(images)]
    tables = torch.rand(4, channels, 256)
    made = launch(images, rows, tables=tables, last=last)
    for image, row, table, result in zip(images, rows, tables, made, strict=True):
        values = table.gather(1, expected(image, row).long().flatten(1)).view(result.shape)
        assert torch.equal(result, values)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 2])
def test_values_of_every_dtype_are_stored(dtype: torch.dtype, count: int) -> None:
    images = [make_noise((9, 11)), channels_last(make_noise((20, 5)))]
    tables = (torch.rand(count, 3, 256) * 255).to(dtype)
    rows = [whole(image, (6, 7), place == 1) for place, image in enumerate(images)]
    made = launch(images, rows, tables=tables)
    for place, result in enumerate(made):
        bytes_ = expected(images[place], rows[place])
        assert torch.equal(result, tables[place % count].gather(1, bytes_.long().flatten(1)).view(result.shape))


@pytest.mark.parametrize(
    ("interpolation", "antialias"),
    [(InterpolationMode.BILINEAR, False), (InterpolationMode.BICUBIC, False), (InterpolationMode.NEAREST, False)],
)
def test_without_antialias(interpolation: InterpolationMode, antialias: bool) -> None:
    images = [make_noise(size, seed=seed) for seed, size in enumerate([(7, 13), (30, 9), (24, 17), (1, 1)])]
    made = launch(images, [whole(image, (9, 17)) for image in images], interpolation, antialias)
    for image, result in zip(images, made, strict=True):
        ours = tv_functional.resize_image(image, [9, 17], interpolation.value, antialias=False)
        assert torch.equal(result, ours)


def test_windows_at_the_borders_are_resized_alone() -> None:
    rows = [
        ((0, 0, 12, 20), (9, 9), (0, 0, 5, 6), False),
        ((8, 10, 12, 20), (9, 9), (4, 3, 5, 6), True),
        ((19, 29, 1, 1), (9, 9), (2, 1, 5, 6), False),
        ((0, 29, 20, 1), (20, 40), (15, 34, 5, 6), True),
        ((3, 4, 9, 9), (9, 9), (0, 0, 5, 6), False),
    ]
    image = make_noise((20, 30))
    made = launch([image] * len(rows), rows, InterpolationMode.LANCZOS)
    for row, result in zip(rows, made, strict=True):
        assert torch.equal(result, expected(image, row, InterpolationMode.LANCZOS))


sides = st.integers(1, 24)


@given(
    sizes=st.lists(st.tuples(sides, sides), min_size=1, max_size=3),
    size=st.tuples(sides, sides),
    interpolation=st.sampled_from(SMOOTH),
    parity=st.sampled_from(["torchvision", "pillow"]),
    data=st.data(),
)
@settings(max_examples=12)
def test_any_windows(
    sizes: list[tuple[int, int]],
    size: tuple[int, int],
    interpolation: InterpolationMode,
    parity: Parity,
    data: st.DataObject,
) -> None:
    images = [make_noise(each, seed=seed) for seed, each in enumerate(sizes)]
    height, width = data.draw(st.integers(1, size[0])), data.draw(st.integers(1, size[1]))
    target = (data.draw(st.integers(0, size[0] - height)), data.draw(st.integers(0, size[1] - width)), height, width)
    rows = []
    for rows_, columns in sizes:
        tall, wide = data.draw(st.integers(1, rows_)), data.draw(st.integers(1, columns))
        corner = data.draw(st.integers(0, rows_ - tall)), data.draw(st.integers(0, columns - wide))
        rows.append(((*corner, tall, wide), size, target, data.draw(st.booleans())))
    made = launch(images, rows, interpolation, parity=parity)
    for image, row, result in zip(images, rows, made, strict=True):
        assert torch.equal(result, expected(image, row, interpolation, parity=parity))


def test_videos_and_lone_tables() -> None:
    videos = [make_noise((9, 11), seed=seed).repeat(2, 1, 1, 1) for seed in range(2)]
    for video in videos:
        video[1] = video[1].flip(-1)
    tables = torch.rand(2, 3, 256)
    made = launch(videos, [whole(video, (6, 7)) for video in videos], tables=tables)
    for video, table, result in zip(videos, tables, made, strict=True):
        for frame, one in zip(video, result, strict=True):
            bytes_ = expected(frame, whole(frame, (6, 7)))
            assert torch.equal(one, table.gather(1, bytes_.long().flatten(1)).view(one.shape))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 7, 13), (2, 1, 1, 1), (2, 3, 40, 50), (2, 2, 3, 7, 13), (0, 3, 7, 13)])
def test_a_lone_lookup_equals_that_of_the_cpu(shape: tuple[int, ...], last: bool, count: int) -> None:
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    x = x.movedim(-3, -1).contiguous().movedim(-1, -3) if last else x
    tables = torch.rand(count, shape[-3], 256).half()
    on_cpu, launched = (torch.full(shape, poison, dtype=torch.float16) for poison in (3.0, 5.0))
    lookup(x, tables, on_cpu)
    with interpreted():
        lookup(x, tables, launched)
    assert torch.equal(on_cpu, launched)


@pytest.mark.parametrize("name", EXACT)
def test_shipped_pipelines_give_the_bytes_of_the_cpu(name: str, tmp_path: Path) -> None:
    small = tmp_path / f"{name}.yaml"
    small.write_text((SHIPPED / small.name).read_text().replace("224", "24").replace("256", "27"))
    pipeline = Pipeline.load(small)
    images = [make_image((30, 41)), channels_last(make_image((50, 22), name="coffee")), make_noise((25, 25))]
    on_cpu = pipeline(images, range(3))
    with interpreted():
        launched = pipeline(images, range(3))
    for here, there in zip(on_cpu, launched, strict=True):
        assert_same(there, here, name)


def test_what_the_kernel_does_not_take_goes_on_as_before() -> None:
    """Floats, modes of torch alone, and windows that leave the image."""
    images = [make_image((30, 41), torch.float32), make_noise((25, 25)), make_noise((40, 20), seed=1)]
    for steps in ([T.RandomResizedCrop(9)], [T.Resize((8, 7), "nearest-exact")], [T.Resize(9), T.CenterCrop(30)]):
        pipeline = Pipeline([*steps, T.RandomHorizontalFlip()])
        on_cpu = pipeline(images, range(3))
        with interpreted():
            launched = pipeline(images, range(3))
        for here, there in zip(on_cpu, launched, strict=True):
            assert_same(there, here, str(steps))


@pytest.mark.parametrize(
    "steps",
    [
        [T.Resize((9, 12))],
        [T.Resize((9, 12), "nearest"), T.RandomHorizontalFlip()],
        [T.Resize((9, 12), "bicubic", antialias=False), T.CenterCrop(7)],
        [T.Resize((9, 12), "bicubic"), T.RandomVerticalFlip()],
        [T.RandomApply([T.Resize((9, 12))]), T.RandomVerticalFlip()],
    ],
    ids=str,
)
@pytest.mark.parametrize("parity", ["torchvision", "pillow"])
def test_resizes_give_the_bytes_of_the_cpu(steps: list[T.Transform], parity: Parity) -> None:
    images = [make_noise((25, 21)), make_noise((8, 20), seed=1), make_noise((9, 12))]
    pipeline = Pipeline(steps, parity=parity)
    on_cpu = pipeline(images, range(3))
    with interpreted():
        launched = pipeline(images, range(3))
    for here, there in zip(on_cpu, launched, strict=True):
        assert_same(there, here, str(steps))
