"""TorchScript: what can be scripted gives its eager bytes; what cannot says so."""

from __future__ import annotations

import io

import pytest
import torch
from scripted import DEPRECATED, SEEDS, assert_scripted, make_images
from torch import nn

from augserve_pipelines import transforms
from augserve_pipelines.registry import known_transforms
from augserve_pipelines.scripting import SCRIPTABLE
from factories import make_image, make_noise
from oracle import v2

pytestmark = pytest.mark.filterwarnings(DEPRECATED)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

GEOMETRY = [
    transforms.CenterCrop(10),
    transforms.CenterCrop((90, 51)),
    transforms.FiveCrop((7, 9)),
    transforms.TenCrop(7),
    transforms.TenCrop((5, 9), vertical_flip=True),
    transforms.Pad(3, fill=7),
    transforms.Pad([3, -1, 0, 5], fill=[1.0, 2.0, 3.0]),
    transforms.Pad([3, 1, 0, 5], padding_mode="edge"),
    transforms.Pad([3, 1, -1, 5], padding_mode="reflect"),
    transforms.Pad([3, 1, 0, 7], padding_mode="symmetric"),
    transforms.RandomHorizontalFlip(),
    transforms.RandomVerticalFlip(),
    transforms.RandomCrop(20),
    transforms.RandomCrop((30, 80), padding=3, pad_if_needed=True, fill=3),
    transforms.RandomCrop((30, 40), padding=[3, 7], padding_mode="reflect"),
    transforms.Resize(20),
    transforms.Resize(20, max_size=22),
    transforms.Resize(None, max_size=22),
    transforms.Resize((31, 77), antialias=False),
    transforms.Resize((31, 77), interpolation="bicubic"),
    transforms.Resize((31, 77), interpolation="nearest"),
    transforms.Resize((31, 77), interpolation="nearest-exact"),
    transforms.Resize((31, 77), interpolation="lanczos"),
    transforms.Resize(1),
    transforms.RandomResizedCrop(20),
    transforms.RandomResizedCrop((20, 33), scale=(0.5, 1.0), ratio=(0.1, 0.2), interpolation="bicubic"),
]
WARPS = [
    transforms.RandomRotation(40),
    transforms.RandomRotation(40, interpolation="bilinear", expand=True),
    transforms.RandomRotation((90, 90), expand=True),
    transforms.RandomRotation((-90, -90)),
    transforms.RandomRotation((180, 180), fill=None, center=(1, 2), interpolation="bilinear"),
    transforms.RandomAffine(30, fill=3, center=(3, 4)),
    transforms.RandomAffine(30, (0.1, 0.2), (0.8, 1.2), (-10, 10, -5, 5), interpolation="bilinear"),
    transforms.RandomAffine((0, 0), shear=10, fill=[1.0, 2.0, 3.0], interpolation="bilinear"),
    transforms.RandomPerspective(),
    transforms.RandomPerspective(0.9, p=1, interpolation="nearest", fill=None),
    transforms.ElasticTransform(),
    transforms.ElasticTransform((20.0, 90.0), (1.0, 3.0), interpolation="nearest", fill=None),
    transforms.ElasticTransform(sigma=0.0, fill=[9.0, 0.0, 200.0]),
]


def name_of(transform: nn.Module) -> str:
    return f"{type(transform).__name__}({transform.extra_repr()})"


@pytest.mark.parametrize("transform", [*GEOMETRY, *WARPS], ids=name_of)
def test_geometry_gives_its_eager_bytes(transform: nn.Module) -> None:
    assert_scripted(transform)


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Normalize(MEAN, STD),
        transforms.Normalize([0.5], [0.1]),
        transforms.ConvertImageDtype(torch.float32),
        transforms.ConvertImageDtype(torch.int16),
        transforms.ConvertImageDtype(torch.float64),
        transforms.LinearTransformation(
            make_noise((21, 273), torch.float32, channels=1)[0, :, :21], torch.arange(21.0)
        ),
        transforms.RandomErasing(0.9),
        transforms.RandomErasing(1.0, value=[1.0, 2.0, 3.0], scale=(0.3, 0.9)),
        transforms.RandomErasing(0.9, value="random"),
    ],
    ids=name_of,
)
def test_changes_of_values_give_their_eager_bytes(transform: nn.Module) -> None:
    sizes = ((1, 7),) if isinstance(transform, transforms.LinearTransformation) else None
    images = None if sizes is None else [*make_images(torch.uint8, 3, sizes), *make_images(torch.float32, 3, sizes)]
    assert_scripted(transform, images)


def test_a_sequence_of_transforms_is_scripted_as_a_whole() -> None:
    assert_scripted(
        nn.Sequential(transforms.CenterCrop(10), transforms.Normalize(MEAN, STD)), make_images(torch.float32)
    )


def test_transforms_of_transforms_are_scripted_with_their_steps() -> None:
    steps = [transforms.GaussianBlur(3), transforms.RandomHorizontalFlip(), transforms.RandomApply([transforms.Pad(2)])]
    assert_scripted(transforms.RandomApply(steps, p=0.6), seeds=range(12))


def test_writing_in_place_is_kept() -> None:
    image = make_image((20, 30), torch.float32)
    written = torch.jit.script(transforms.Normalize(MEAN, STD, inplace=True))
    assert written(image) is image or torch.equal(written(make_image((20, 30), torch.float32)), image)
    assert torch.equal(image, transforms.Normalize(MEAN, STD)(make_image((20, 30), torch.float32)))


def test_a_script_can_be_saved_and_loaded() -> None:
    transform, image = transforms.RandomResizedCrop(20), make_image((64, 80))
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(transform), file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for seed in SEEDS:
        torch.manual_seed(seed)
        expected = transform(image)
        torch.manual_seed(seed)
        assert torch.equal(loaded(image), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int16, torch.int32])
def test_other_dtypes_give_their_eager_bytes(dtype: torch.dtype) -> None:
    image = make_image((40, 50), torch.float32)
    image = image.to(dtype) if dtype.is_floating_point else (image * 3000).to(dtype)
    for transform in (
        transforms.Resize(20),
        transforms.RandomAffine(30, interpolation="bilinear", fill=0.3),
        transforms.GaussianBlur(5),
        transforms.ColorJitter(0.4, 0.4, 0.4, 0.1 if dtype.is_floating_point else None),
        transforms.RandomAdjustSharpness(2.0, 1.0),
        transforms.RandomInvert(1.0),
        transforms.RandomPosterize(3, 1.0),
        transforms.ConvertImageDtype(torch.uint8),
        *([transforms.Normalize(MEAN, STD)] if dtype.is_floating_point else []),
    ):
        assert_scripted(transform, [image], seeds=range(2))


def test_the_bytes_are_those_of_v2_and_not_of_what_v2_itself_scripts() -> None:
    image = make_noise((64, 80))
    script = torch.jit.script(transforms.Resize(20))
    assert torch.equal(script(image), v2.Resize(20)(image))
    assert not torch.equal(script(image), torch.jit.script(v2.Resize(20))(image))


def test_what_upstream_can_script_can_be_scripted_and_nothing_else() -> None:
    upstream = {name for name in dir(v2) if getattr(getattr(v2, name), "_v1_transform_cls", None)}
    assert upstream - {"Transform"} == set(SCRIPTABLE) <= set(known_transforms())


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Compose([transforms.CenterCrop(3)]),
        transforms.RandomChoice([transforms.CenterCrop(3)]),
        transforms.ToDtype(torch.float32),
        transforms.RandomApply([transforms.Identity(), transforms.RGB()]),
    ],
    ids=name_of,
)
def test_other_transforms_say_which_ones_can_be_scripted(transform: nn.Module) -> None:
    with pytest.raises(
        RuntimeError, match=r"cannot be scripted; these transforms can be: AugMix, .*TrivialAugmentWide"
    ):
        torch.jit.script(nn.Sequential(transform))


def test_a_transform_of_your_own_is_not_taken_for_the_one_whose_name_it_has() -> None:
    class CenterCrop(transforms.CenterCrop):
        """Another one."""

    with pytest.raises(RuntimeError, match="cannot be scripted"):
        torch.jit.script(CenterCrop(3))
