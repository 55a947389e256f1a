"""Files on their way to a device and back, on the CPU: what each becomes, whatever is in the batch beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from augserve_pipelines import DecodeRule, InputRule, InvalidInput, Pipeline
from augserve_pipelines import transforms as T
from augserve_pipelines.slabs import PageableMemory, SlabPool
from augserve_pipelines.transfer import Transfer, TransferLimits
from augserve_server.codecs import decode, peek
from augserve_server.decoding import Encoded, Later, Unwanted
from augserve_server.errors import ImageCorrupt, ImageTruncated
from augserve_server.headers import Header
from augserve_server.jpeg import Way
from augserve_server.metrics import Metrics
from augserve_server.place import Place
from augserve_server.work import OverImages
from factories import make_file, make_image

CPU = torch.device("cpu")
POISON = 0xA5
CROP = Pipeline([T.RandomResizedCrop(24), T.RandomHorizontalFlip()])
WHOLE = Pipeline([T.Identity()])

FILES = {
    "baseline": make_file("JPEG", (40, 50)),
    "progressive": make_file("JPEG", (33, 47), progressive=True),
    "gray": make_file("JPEG", (21, 35), "L"),
    "four inks": make_file("JPEG", (20, 30), "CMYK"),
    "stored as RGB": make_file("JPEG", (40, 50), keep_rgb=True),
    "WebP": make_file("WEBP", (25, 31)),
    "BMP": make_file("BMP", (1, 17)),
    "stray bytes": make_file("JPEG", (40, 50))[:-2] + bytes(9) + b"\xff\xd9",
    **{f"orientation {i}": make_file("JPEG", (45, 61), orientation=i) for i in range(2, 9)},
}
CUT = make_file("JPEG", (60, 70))[:1500]


class CountedMemory(PageableMemory):
    """Host memory full of what no photograph is, which counts how often there is more of it."""

    def __init__(self) -> None:
        self.count = 0

    def allocate(self, size: int) -> NDArray[np.uint8]:
        self.count += 1
        return np.full(size, POISON, np.uint8)


def make_place(memory: PageableMemory | None = None, device: int = 64 << 20) -> Place:
    transfer = Transfer(CPU, TransferLimits(64 << 20, device))
    transfer.slabs = SlabPool(64 << 20, memory or CountedMemory())
    return Place(CPU, transfer)


def later(
    data: bytes, rule: InputRule | None = None, wanted: Callable[[], bool] = lambda: True, header: Header | None = None
) -> Later:
    rule = rule or InputRule()
    image = Encoded(data, header or peek(data))
    shape = image.shape(rule)
    assert shape is not None
    return Later(image, rule, shape, Metrics(), wanted)


def run(
    images: Sequence[Later | Tensor], pipeline: Pipeline = CROP, place: Place | None = None
) -> list[Tensor | Exception]:
    return OverImages(pipeline).run(images, range(len(images)), place or make_place(), lambda: None)


def decoded(data: bytes, rule: InputRule | None = None) -> Tensor:
    return torch.from_numpy(decode(data, peek(data), rule or InputRule())).permute(2, 0, 1)


def alone(image: Tensor, seed: int, pipeline: Pipeline = CROP) -> Tensor:
    return pipeline([image], [seed])[0]


def same(found: Sequence[Tensor | Exception], images: Sequence[Tensor], pipeline: Pipeline = CROP) -> bool:
    return all(
        isinstance(one, Tensor) and torch.equal(one, alone(image, seed, pipeline))
        for seed, (one, image) in enumerate(zip(found, images, strict=True))
    )


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", ["apply", "ignore"])
def test_files_of_every_kind_have_the_results_of_decoded_images(mode: str, orientation: str) -> None:
    rule = InputRule(mode=mode, orientation=orientation)  # type: ignore[arg-type]  # one of those that it allows
    found = run([later(data, rule) for data in FILES.values()])
    assert same(found, [decoded(data, rule) for data in FILES.values()])


def test_a_mixed_batch_has_what_came_as_pixels_too() -> None:
    noise = Pipeline([T.ToDtype(torch.float32, scale=True), T.GaussianNoise()])
    planar, pixels = make_image((30, 20)), make_image((31, 20)).movedim(0, -1).contiguous().movedim(-1, 0)
    data = FILES["baseline"]
    for place in (make_place(), Place(CPU)):
        found = run([planar, later(data), pixels], noise, place)
        assert same(found, [planar, decoded(data), pixels], noise)


def test_files_that_fail_do_so_alone_and_show_nothing() -> None:
    good, lie = FILES["baseline"], peek(make_file("JPEG", (40, 60)))
    larger = peek(make_file("JPEG", (39, 50)))
    photograph = make_file("JPEG", (200, 300))
    middle = len(photograph) // 2
    corrupt = photograph[:middle] + b"\xff\x01\xff\x02" * 10 + photograph[middle + 40 :]
    images = [later(good), later(CUT), later(corrupt), later(good, header=lie), later(good, header=larger), later(good)]
    place = make_place()
    for pipeline in (CROP, WHOLE):
        found = run(images, pipeline, place)
        assert [type(one) for one in found[1:5]] == [ImageTruncated, ImageCorrupt, ImageCorrupt, ImageCorrupt]
        for row in (0, 5):
            assert torch.equal(found[row], alone(decoded(good), row, pipeline))  # type: ignore[arg-type]  # these are tensors


def test_a_batch_of_which_nothing_is_good_runs_nothing() -> None:
    found = run([later(CUT), later(CUT)])
    assert [type(one) for one in found] == [ImageTruncated] * 2


def test_a_file_of_another_shape_than_was_said_fails_alone() -> None:
    wrong = later(FILES["WebP"])
    object.__setattr__(wrong, "shape", (3, 31, 25))
    found = run([later(FILES["BMP"]), wrong, later(FILES["BMP"])])
    assert [isinstance(one, Tensor) for one in found] == [True, False, True]
    assert isinstance(found[1], InvalidInput)
    assert "was said before it was decoded" in str(found[1])


@pytest.mark.parametrize("device", [64 << 20, 20_000], ids=["at once", "in pieces"])
def test_views_of_an_image_share_one_decoding_and_one_place(device: int) -> None:
    metrics, data = Metrics(), FILES["baseline"]
    image = Later(Encoded(data, peek(data)), InputRule(), (3, 40, 50), metrics, lambda: True)
    found = run([image] * 5 + [later(CUT)] + [image] * 2, place=make_place(device=device))
    expected = decoded(data)
    for row in (0, 1, 2, 3, 4, 6, 7):
        assert torch.equal(found[row], alone(expected, row))  # type: ignore[arg-type]  # these are tensors
    count = metrics.registry.get_sample_value("augserve_decoded_images_total")
    assert count == (1 if device > 20_000 else 4)  # one in each piece


def test_what_nobody_waits_for_by_the_time_it_is_decoded_does_not_go_to_the_device() -> None:
    data, answers = FILES["baseline"], iter([True, False])
    never, no_longer = later(data, wanted=lambda: False), later(data, wanted=lambda: next(answers))
    found = run([never, later(data), no_longer])
    assert [type(one) for one in found] == [Unwanted, Tensor, Unwanted]
    assert torch.equal(found[1], alone(decoded(data), 1))  # type: ignore[arg-type]  # it is a tensor
    assert never.metrics.registry.get_sample_value("augserve_decoded_images_total") == 0
    wasted = no_longer.metrics.registry.get_sample_value("augserve_wasted_megapixels_total", {"stage": "decode"})
    assert wasted == pytest.approx(0.002)


def test_what_no_pixels_could_change_is_refused_before_anything_is_decoded() -> None:
    image = later(FILES["baseline"])
    with pytest.raises(InvalidInput, match="RandomCrop takes a window of 500 x 500"):
        run([image], Pipeline([T.RandomCrop(500)]))
    assert image.metrics.registry.get_sample_value("augserve_decoded_images_total") == 0


def test_files_are_decoded_smaller_where_their_pipeline_lets_them() -> None:
    pipeline = Pipeline([T.Resize((20, 25)), T.RandomHorizontalFlip()], decode=DecodeRule(scale="dct"))
    data = make_file("JPEG", (160, 200))
    there, here = run([later(data)], pipeline), run([later(data)], pipeline, Place(CPU))
    half = torch.from_numpy(decode(data, peek(data), InputRule(), Way(factor=8))).permute(2, 0, 1)
    assert torch.equal(there[0], here[0])  # type: ignore[arg-type]  # these are tensors
    assert torch.equal(there[0], alone(half, 0, Pipeline([T.Resize((20, 25)), T.RandomHorizontalFlip()])))  # type: ignore[arg-type]  # it is a tensor


def test_equal_batches_use_the_same_memory_again() -> None:
    memory = CountedMemory()
    place, images = make_place(memory), [later(data) for data in FILES.values()]
    for _ in range(3):
        run(images, place=place)
    before = memory.count
    for _ in range(10):
        run(images, place=place)
    assert memory.count == before == 2  # sources, and results


def test_batches_at_once_use_as_many_slabs_as_there_are_batches() -> None:
    memory, together = CountedMemory(), threading.Barrier(3)
    place = make_place(memory)
    wrong: list[object] = []

    def run_some() -> None:
        images = [later(data) for data in FILES.values()]
        expected = [decoded(data) for data in FILES.values()]
        for _ in range(4):
            together.wait(10)
            if not same(run(images, place=place), expected):
                wrong.append(None)

    threads = [threading.Thread(target=run_some) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert memory.count <= 6


def test_the_next_batch_may_begin_when_the_last_image_is_decoded() -> None:
    told = threading.Event()
    images = [later(data) for data in FILES.values()]
    OverImages(CROP).run(images, range(len(images)), make_place(), told.set)
    assert told.is_set()
