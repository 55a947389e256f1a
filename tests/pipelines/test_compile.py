"""``torch.compile`` traces transforms that draw nothing as one graph, with their eager bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from parity import assert_same
from torch import Tensor, nn

from augserve_pipelines import Pipeline, exporting, transforms
from augserve_pipelines.kernels.resample import Parity
from augserve_pipelines.tv_tensors import Image
from factories import make_image, make_noise

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BACKENDS = ("eager", "aot_eager")


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def assert_compiled(module: nn.Module, images: list[Tensor], backend: str) -> None:
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    for image in images:
        assert_same(compiled(image), module(image), f"{backend}, {[*image.shape]} {image.dtype}")


@pytest.mark.parametrize(
    "transform",
    [
        transforms.CenterCrop(20),
        transforms.ColorJitter(contrast=(0.7, 0.7)),
        transforms.ConvertImageDtype(torch.float32),
        transforms.GaussianBlur((3, 7), sigma=1.3),
        transforms.Grayscale(3),
        transforms.Identity(),
        transforms.Pad([3, 1, 0, 5], padding_mode="reflect"),
        transforms.RandomApply([transforms.CenterCrop(20), transforms.RandomVerticalFlip(1.0)], p=1.0),
        transforms.RandomEqualize(1.0),
        transforms.RandomHorizontalFlip(1.0),
        transforms.RandomRotation((33, 33), interpolation="bilinear"),
        transforms.Resize(20),
        transforms.Resize((31, 77), interpolation="bicubic"),
        transforms.RGB(),
        transforms.ToDtype(torch.float32, scale=True),
    ],
    ids=lambda transform: f"{type(transform).__name__}({transform.extra_repr()})",
)
def test_transforms_are_one_graph(transform: nn.Module) -> None:
    assert_compiled(transform, [make_image((37, 61)), make_noise((37, 61), torch.float32)], "aot_eager")


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_graph_holds_for_many_sizes(backend: str) -> None:
    for transform in (transforms.CenterCrop(20), transforms.Resize(20)):
        assert_compiled(transform, [make_noise(size) for size in ((37, 61), (64, 50), (20, 33), (90, 21))], backend)


def test_steps_that_follow_each_other_are_one_graph() -> None:
    chain = [
        transforms.Resize(40),
        transforms.CenterCrop(32),
        transforms.ToDtype(torch.float32, True),
        transforms.Normalize(MEAN, STD),
    ]
    for module in (nn.Sequential(*chain), transforms.Compose(chain)):
        assert_compiled(module, [make_image((50, 70))], "aot_eager")


@pytest.mark.parametrize("parity", ["torchvision", "pillow"])
def test_the_module_of_a_pipeline_is_one_graph(parity: Parity) -> None:
    steps = [transforms.Resize(40), transforms.Compose([transforms.CenterCrop(32), transforms.Grayscale()])]
    pipeline, image = Pipeline(steps, parity=parity), make_image((50, 70))
    compiled = torch.compile(exporting.module(pipeline), fullgraph=True, backend="aot_eager")
    assert_same(compiled(image), pipeline([image])[0], parity)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resizing_without_antialiasing_is_within_a_bound_where_torch_takes_it_apart(interpolation: str) -> None:
    """The bound that docs/exceptions.md names: torch has another arithmetic of floats for it. Bytes are exact."""
    transform = transforms.Resize((31, 77), interpolation=interpolation, antialias=False)
    compiled = torch.compile(transform, fullgraph=True, backend="aot_eager")
    image = make_noise((64, 50), torch.float32)
    assert float((compiled(image) - transform(image)).abs().max()) <= 2e-6
    assert torch.equal(compiled(make_noise((64, 50))), transform(make_noise((64, 50))))


def test_a_random_transform_breaks_the_graph_and_gives_its_eager_bytes() -> None:
    transform, image = nn.Sequential(transforms.RandomCrop(20), transforms.CenterCrop(10)), make_image((50, 70))
    torch.manual_seed(3)
    expected = transform(image)
    torch.manual_seed(3)
    assert torch.equal(torch.compile(transform, backend="eager")(image), expected)


@pytest.mark.parametrize(
    "transform", [transforms.RandomCrop(20), transforms.RandomApply([transforms.CenterCrop(20)])], ids=repr
)
def test_a_random_transform_is_refused_where_the_graph_must_not_break(transform: nn.Module) -> None:
    compiled = torch.compile(transform, backend="eager", fullgraph=True)
    with pytest.raises(RuntimeError, match="it draws, or takes more than one tensor"):
        compiled(make_image((50, 70)))


def test_structures_are_transformed_eagerly() -> None:
    transform, image = transforms.CenterCrop(20), make_image((50, 70))
    compiled = torch.compile(transform, backend="eager")
    result = compiled({"image": Image(image), "label": 3})
    assert isinstance(result["image"], Image)
    assert torch.equal(result["image"], transform(image))
    assert result["label"] == 3


def test_writing_in_place_is_kept() -> None:
    image = make_image((20, 30), torch.float32)
    expected = transforms.Normalize(MEAN, STD)(image)
    torch.compile(transforms.Normalize(MEAN, STD, inplace=True), fullgraph=True, backend="aot_eager")(image)
    assert torch.equal(image, expected)
