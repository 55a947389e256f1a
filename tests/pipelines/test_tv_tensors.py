"""Tensors that know what they show, beside torchvision's, which they must behave as."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from augserve_pipelines import tv_tensors as ours
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.tv_tensors.interop import kind_of, like, metadata
from factories import make_picture
from oracle import tv_tensors as theirs

BOXES = {"format": "XYXY", "canvas_size": (40, 60)}
POINTS = {"canvas_size": (40, 60)}
PIXELS = torch.arange(24, dtype=torch.uint8).view(1, 1, 4, 6)
CORNERS = torch.tensor([[1.0, 2.0, 30.0, 20.0], [5.0, 6.0, 7.0, 8.0]])


def make_all(module: ModuleType) -> dict[str, Tensor]:
    """One of each kind, of ours or of torchvision's."""
    return {
        "image": module.Image(PIXELS[0].clone()),
        "video": module.Video(PIXELS.clone()),
        "mask": module.Mask(PIXELS[0, 0].clone()),
        "boxes": module.BoundingBoxes(CORNERS.clone(), **BOXES, clamping_mode="hard"),
        "keypoints": module.KeyPoints(CORNERS.view(2, 2, 2).clone(), **POINTS),
    }


KINDS = tuple(make_all(ours))


def described(value: Any) -> Any:
    """Everything by which a result can be told from another, but for whose class it is."""
    if isinstance(value, Tensor):
        plain = value.as_subclass(Tensor)
        fields = {name: str(item) for name, item in vars(value).items()}
        return type(value).__name__, plain.tolist(), plain.dtype, [*plain.shape], value.requires_grad, fields
    if isinstance(value, tuple | list):
        return type(value).__name__, [described(part) for part in value]
    return value


def assert_alike(act: Callable[[ModuleType], Any]) -> None:
    """Ours and torchvision's give the same, or both raise."""
    try:
        expected = act(theirs)
    except (TypeError, ValueError, AttributeError):
        with pytest.raises((TypeError, ValueError)):
            act(ours)
        return
    assert described(act(ours)) == described(expected)


@pytest.mark.parametrize("returned", ["Tensor", "TVTensor"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x + 1,
        lambda x: 1 + x,
        lambda x: x.clone(),
        lambda x: x.to(torch.float64),
        lambda x: x.to("cpu", torch.int64),
        lambda x: x.float(),
        lambda x: x.detach(),
        lambda x: x.float().requires_grad_(True),
        lambda x: x.to(torch.float32).requires_grad_(True).detach(),
        lambda x: torch.zeros(2).to(x),
        lambda x: x.add_(1),
        lambda x: (x.add_(1), x)[1],
        lambda x: x[:1],
        lambda x: x[0],
        lambda x: x.unbind(),
        lambda x: x.chunk(2),
        lambda x: torch.stack([x, x]),
        lambda x: torch.cat([x, x]),
        lambda x: x.view(-1),
        lambda x: x.float().mean(),
        lambda x: x.shape,
        lambda x: x.ndim,
        lambda x: x.dtype,
        lambda x: x.device,
        lambda x: x == x,
        lambda x: x.numpy().tolist(),
    ],
)
def test_operations_return_what_torchvisions_do(operation: Callable[[Any], Any], kind: str, returned: str) -> None:
    def act(module: ModuleType) -> Any:
        with module.set_return_type(returned):
            return operation(make_all(module)[kind])

    assert_alike(act)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_and_numbers_can_be_asked_for_whatever_operations_return(kind: str) -> None:
    leaf = make_all(ours)[kind]
    plain = leaf.as_subclass(Tensor)
    with ours.set_return_type("TVTensor"):  # torchvision's boxes fail here: these are tuples and lists, not of tensors
        assert leaf.size() == plain.size()
        assert leaf.tolist() == plain.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_keep_class_and_metadata(copied: Callable[[Any], Any], kind: str) -> None:
    leaf = make_all(ours)[kind]
    assert described(copied(leaf)) == described(leaf)
    with ours.set_return_type("TVTensor"):
        assert described(copied(leaf)) == described(leaf)


def test_a_deep_copy_shares_neither_memory_nor_the_graph() -> None:
    image = ours.Image(torch.ones(1, 2, 2), requires_grad=True)
    copied = copy.deepcopy([image, image])
    assert copied[0] is copied[1]
    assert copied[0].requires_grad
    assert copied[0].is_leaf
    with torch.no_grad():
        copied[0].zero_()
    assert image.as_subclass(Tensor).sum() == 4


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_written_as_torchvisions(kind: str) -> None:
    assert repr(make_all(ours)[kind]) == repr(make_all(theirs)[kind])


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.Image(torch.zeros(4)),
        lambda m: m.Image(torch.zeros(4, 5)),
        lambda m: m.Image(torch.zeros(2, 3, 4, 5), dtype=torch.int16),
        lambda m: m.Image([[1, 2], [3, 4]]),
        lambda m: m.Image(np.ones((2, 2), np.float32)),
        lambda m: m.Image(torch.zeros(1, 2, 2, requires_grad=True)),
        lambda m: m.Image(torch.zeros(1, 2, 2), requires_grad=True),
        lambda m: m.Image(m.Image(torch.zeros(1, 2, 2))),
        lambda m: m.Mask(m.Image(torch.zeros(1, 2, 2))),
        lambda m: m.Video(torch.zeros(3, 4, 5)),
        lambda m: m.Video(torch.zeros(2, 3, 4, 5), device="cpu"),
        lambda m: m.Mask(torch.zeros(4)),
        lambda m: m.Mask([[True, False]]),
        lambda m: m.BoundingBoxes([1, 2, 3, 4], format="xyxy", canvas_size=(4, 5)),
        lambda m: m.BoundingBoxes([[1.5, 2, 3, 4]], format=m.BoundingBoxFormat.XYWH, canvas_size=(4, 5)),
        lambda m: m.BoundingBoxes(torch.zeros(0, 4), format="CXCYWH", canvas_size=(4, 5), clamping_mode=None),
        lambda m: m.BoundingBoxes(torch.zeros(1, 2, 4), format="XYXY", canvas_size=(4, 5)),
        lambda m: m.BoundingBoxes(torch.zeros(()), format="XYXY", canvas_size=(4, 5)),
        lambda m: m.BoundingBoxes([1, 2, 3, 4], format="XYXY", canvas_size=(4, 5), clamping_mode="firm"),
        lambda m: m.BoundingBoxes([[1, 2, 3, 4, 5]], format="XYWHR", canvas_size=(4, 5)),
        lambda m: m.BoundingBoxes([[1, 2, 3, 4, 5]], format="CXCYWHR", canvas_size=(4, 5), dtype=torch.float32),
        lambda m: m.BoundingBoxes(torch.zeros(2, 8), format="XYXYXYXY", canvas_size=(4, 5)),
        lambda m: m.BoundingBoxes([1, 2, 3, 4], canvas_size=(4, 5)),
        lambda m: m.KeyPoints([1, 2], canvas_size=(4, 5)),
        lambda m: m.KeyPoints(torch.zeros(2, 3, 4, 2), canvas_size=(4, 5)),
        lambda m: m.KeyPoints(torch.zeros(2, 3), canvas_size=(4, 5)),
        lambda m: m.KeyPoints(torch.zeros(0, 2)),
    ],
)
def test_constructors_take_and_refuse_what_torchvisions_do(make: Callable[[ModuleType], Any]) -> None:
    assert_alike(make)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "RGBA", "LA", "I;16", "F"])
@pytest.mark.parametrize("kind", ["Image", "Mask"])
def test_pil_images_become_tensors(kind: str, mode: str) -> None:
    picture = make_picture(size=(5, 7)).convert("L" if mode == "I;16" else mode)
    picture = picture.convert("I").convert(mode) if mode == "I;16" else picture
    assert_alike(lambda module: getattr(module, kind)(picture))


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="XYZ"):
        ours.BoundingBoxes([1, 2, 3, 4], format="XYZ", canvas_size=(4, 5))


@pytest.mark.parametrize("format", list(theirs.BoundingBoxFormat))
def test_formats_are_known_by_name_and_by_torchvisions_members(format: theirs.BoundingBoxFormat) -> None:
    rotated = theirs.is_rotated_bounding_format(format)
    for given in (format, format.name, format.name.lower(), ours.BoundingBoxFormat(format)):
        assert ours.BoundingBoxFormat(given).name == format.name
        assert ours.is_rotated_bounding_format(given) is rotated
    with pytest.raises(ValueError, match="5"):
        ours.is_rotated_bounding_format(5)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("kind", KINDS)
def test_wrap_gives_a_tensor_the_class_and_metadata_of_another(kind: str) -> None:
    assert_alike(lambda module: module.wrap(CORNERS, like=make_all(module)[kind]))


def test_wrap_takes_other_metadata() -> None:
    def act(module: ModuleType) -> list[Tensor]:
        made = make_all(module)
        format = module.BoundingBoxFormat.XYWH
        return [
            module.wrap(CORNERS, like=made["boxes"], format=format, canvas_size=(1, 2), clamping_mode=None),
            module.wrap(CORNERS[0], like=made["boxes"]),
            module.wrap(CORNERS[0, :2], like=made["keypoints"], canvas_size=(9, 9)),
            module.wrap(CORNERS, like=torch.zeros(1)),
        ]

    assert_alike(act)
    with pytest.raises(InvalidInput):
        ours.wrap(CORNERS, like=make_all(ours)["boxes"], clamping_mode="firm")


def test_wrap_shares_memory_and_understands_torchvisions() -> None:
    boxes = make_all(theirs)["boxes"]
    wrapped = ours.wrap(CORNERS, like=boxes, format=ours.BoundingBoxFormat.XYWH)
    assert type(wrapped) is theirs.BoundingBoxes
    assert wrapped.format is theirs.BoundingBoxFormat.XYWH
    assert wrapped.data_ptr() == CORNERS.data_ptr()


class Marked(ours.Image):
    """An image with a mark, as somebody else would write it."""

    mark: str

    @classmethod
    def wrap(cls, tensor: Tensor, like: Any, **metadata: Any) -> Any:
        wrapped = tensor.as_subclass(cls)
        wrapped.mark = metadata.get("mark", like.mark + "'")
        return wrapped


class Curve(ours.TVTensor):
    """A kind of its own."""


def test_subclasses_keep_their_attributes_and_wrap_themselves() -> None:
    image = Marked(torch.zeros(1, 2, 2))
    image.mark = "first"
    assert ours.wrap(image + 1, like=image).mark == "first'"
    assert like(image, image + 1, mark="second").mark == "second"  # type: ignore[attr-defined]  # of the subclass
    for kept in (image.clone(), image.to(torch.int16), copy.deepcopy(image), pickle.loads(pickle.dumps(image))):
        assert (type(kept), kept.mark) == (Marked, "first")


@pytest.mark.parametrize(
    ("leaf", "kind"),
    [
        *((made, type(made)) for made in make_all(ours).values()),
        *((made, getattr(ours, type(made).__name__)) for made in make_all(theirs).values()),
        (Marked(torch.zeros(1, 1, 1)), ours.Image),
        (torch.zeros(1).as_subclass(Curve), ours.TVTensor),
        (torch.zeros(1), Tensor),
        (torch.nn.Parameter(torch.zeros(1)), Tensor),
        (PIL.Image.new("L", (1, 1)), PIL.Image.Image),
        (np.zeros(1), None),
        ("image", None),
        (None, None),
        (3, None),
    ],
)
def test_kinds_of_leaves(leaf: Any, kind: type | None) -> None:
    assert kind_of(leaf) is kind


@pytest.mark.parametrize("module", [ours, theirs])
def test_metadata_are_in_our_words(module: ModuleType) -> None:
    made = make_all(module)
    size = (40, 60)
    expected = {"format": ours.BoundingBoxFormat.XYXY, "canvas_size": size, "clamping_mode": "hard"}
    assert metadata(made["boxes"]) == expected
    assert metadata(made["keypoints"]) == {"canvas_size": size}
    assert metadata(made["image"]) == metadata(torch.zeros(1)) == metadata(3) == {}
    assert like(torch.zeros(3), CORNERS) is CORNERS
    assert described(like(made["boxes"], CORNERS + 1, canvas_size=(3, 4)))[-1] == {
        "format": "BoundingBoxFormat.XYXY",
        "canvas_size": "(3, 4)",
        "clamping_mode": "hard",
    }


def test_images_and_masks_do_not_add_up() -> None:
    with pytest.raises(TypeError):
        ours.Image(torch.zeros(1, 2, 2)) + ours.Mask(torch.zeros(1, 2, 2))


def test_the_return_type_is_set_until_it_is_set_again_or_the_block_ends() -> None:
    image = ours.Image(torch.zeros(1, 2, 2))

    def returned() -> type:
        return type(image + 1)

    assert returned() is Tensor
    with ours.set_return_type("tvtensor"):
        assert returned() is ours.Image
        with ours.set_return_type("Tensor"):
            assert returned() is Tensor
        assert returned() is ours.Image
    assert returned() is Tensor
    with pytest.raises(RuntimeError, match="within"), ours.set_return_type("TVTensor"):
        raise RuntimeError("within")
    assert returned() is Tensor
    ours.set_return_type("TVTensor")
    assert returned() is ours.Image
    ours.set_return_type("Tensor")
    assert returned() is Tensor
    with pytest.raises(InvalidInput, match="Array"):
        ours.set_return_type("Array")


def test_the_return_type_is_that_of_the_thread() -> None:
    image = ours.Image(torch.zeros(1, 2, 2))
    both_set = threading.Barrier(2)

    def work(word: str) -> set[type]:
        ours.set_return_type(word)
        both_set.wait(timeout=30)
        return {type(image + 1) for _ in range(200)}

    with ThreadPoolExecutor(2) as threads, ours.set_return_type("TVTensor"):
        plain, wrapped = threads.submit(work, "Tensor"), threads.submit(work, "TVTensor")
        assert plain.result(timeout=60) == {Tensor}
        assert wrapped.result(timeout=60) == {ours.Image}
        assert type(image + 1) is ours.Image
    assert type(image + 1) is Tensor


def test_the_return_type_is_that_of_the_task() -> None:
    image = ours.Image(torch.zeros(1, 2, 2))

    async def work(word: str, mine: asyncio.Event, others: asyncio.Event) -> type:
        with ours.set_return_type(word):
            mine.set()
            await others.wait()
            return type(image + 1)

    async def both() -> list[type]:
        first, second = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(work("Tensor", first, second), work("TVTensor", second, first)))

    assert asyncio.run(both()) == [Tensor, ours.Image]
    assert type(image + 1) is Tensor
