"""Normal noise against torchvision: the same numbers, for the same values, in the same order."""

from __future__ import annotations

import pytest
import torch
from functionals import assert_call_parity, assert_functional_parity
from targets import assert_eager_target_parity, assert_target_parity, make_structure, make_video_structure

from augserve_pipelines import Pipeline, transforms
from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.records import Record
from augserve_pipelines.transforms import Compose, RandomHorizontalFlip
from augserve_pipelines.transforms.noise import GaussianNoise, gaussian_noise
from factories import make_image, make_picture
from oracle import tv_functional, tv_tensors, v2
from pipelines.parity import SEEDS, assert_parity, assert_same, channels_last, make_images

DTYPES = (torch.uint8, torch.float32)
FLOATS = (torch.float64, torch.float16, torch.bfloat16)
CHOICES = [{}, {"mean": 0.3, "sigma": 0.5}, {"mean": -0.7, "sigma": 1.5, "clip": False}, {"sigma": 0.0}]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("arguments", CHOICES, ids=str)
def test_it_matches(arguments, dtype):
    images = make_images(dtype, sizes=[(1, 1), (1, 17), (3, 5), (7, 13), (64, 64), (31, 290)])
    images += make_images(dtype, channels=1, sizes=[(1, 1), (2, 8), (7, 13)])
    assert_parity(GaussianNoise(**arguments), v2.GaussianNoise(**arguments), images, SEEDS[::3])


@pytest.mark.parametrize("dtype", FLOATS)
def test_other_floats_match(dtype):
    images = make_images(dtype, sizes=[(1, 1), (3, 5), (7, 13), (33, 30)])
    assert_parity(GaussianNoise(), v2.GaussianNoise(), images, SEEDS[:4])


def test_every_kind_of_input_matches():
    assert_target_parity(GaussianNoise(0.1, 0.2), v2.GaussianNoise(0.1, 0.2))


def test_the_functional_matches():
    assert_functional_parity(gaussian_noise, tv_functional.gaussian_noise)
    assert_functional_parity(gaussian_noise, tv_functional.gaussian_noise, 0.5, 0.3, False, dtypes=(*DTYPES, *FLOATS))
    assert_call_parity(gaussian_noise, tv_functional.gaussian_noise, torch.zeros(3, 0, 4))


def test_what_follows_is_drawn_from_where_the_noise_ends():
    """Odd numbers of values leave half of a pair of normals in the generator."""
    ours = Compose([GaussianNoise(), GaussianNoise(0.0, 0.3), RandomHorizontalFlip(), GaussianNoise()])
    theirs = v2.Compose([v2.GaussianNoise(), v2.GaussianNoise(0.0, 0.3), v2.RandomHorizontalFlip(), v2.GaussianNoise()])
    assert_parity(ours, theirs, make_images(sizes=[(1, 1), (3, 5), (5, 7), (7, 13), (8, 6)]), SEEDS[:6])


def test_several_images_of_a_sample_have_noise_of_their_own():
    structure = [tv_tensors.Image(make_image((7, 9))), {"clip": tv_tensors.Video(torch.zeros(2, 3, 5, 5))}]
    for seed in range(3):
        assert_eager_target_parity(GaussianNoise(), v2.GaussianNoise(), structure, seed)


def test_in_a_pipeline_they_share_the_noise_of_one():
    one, other = tv_tensors.Image(make_image((7, 9))), tv_tensors.Image(make_image((7, 9), name="flower"))
    for seed in range(3):
        together = Pipeline([GaussianNoise()])([[one, other]], [seed])[0]
        for given, result in zip((one, other), together, strict=True):
            torch.manual_seed(seed)
            assert_same(
                result.as_subclass(torch.Tensor), tv_functional.gaussian_noise(given.as_subclass(torch.Tensor)), ""
            )


@pytest.mark.parametrize(
    "steps",
    [
        lambda given: [given.RandomRotation((90, 90))],
        lambda given: [given.RandomCrop(20), given.Resize((16, 18))],
    ],
)
def test_where_the_layout_is_not_followed_the_numbers_have_another_order(steps):
    image = channels_last(torch.zeros(3, 32, 32))
    ours = Pipeline([*steps(transforms), GaussianNoise(clip=False)])
    theirs = v2.Compose([*steps(v2), v2.GaussianNoise(clip=False)])
    torch.manual_seed(1)
    expected, actual = theirs(image), ours([image], [1])[0]
    assert not torch.equal(actual, expected)
    assert (actual.mean() - expected.mean()).abs() < 0.01
    assert (actual.std() - expected.std()).abs() < 0.01


def test_windows_of_images_match():
    image = make_image((20, 30))
    for whole in (image, channels_last(image), image / 255, channels_last(image / 255)):
        assert_parity(
            GaussianNoise(), v2.GaussianNoise(), [whole[:, 3:12, 4:20], whole[:2], whole[:, :, :1]], SEEDS[:3]
        )


BEFORE = {
    "CenterCrop": [(20,), (60,)],
    "RandomCrop": [(17,), (50, 20, True)],
    "Pad": [(3,)],
    "RandomResizedCrop": [(24,)],
    "Resize": [((20, 33),)],
    "RandomVerticalFlip": [()],
    "RandomRotation": [(30,), ((180, 180),)],
    "RandomAffine": [(20,)],
    "RandomPerspective": [()],
    "ElasticTransform": [(50.0, 1.0)],
    "RandomZoomOut": [()],
    "ColorJitter": [(0.4, 0.4, 0.4, 0.1), (0.4, 0.4, 0.4)],
    "RandomPhotometricDistort": [()],
    "RandomChannelPermutation": [()],
    "RandomEqualize": [()],
    "RandomAutocontrast": [()],
    "RandomAdjustSharpness": [(2,)],
    "RandomInvert": [()],
    "RandomPosterize": [(3,)],
    "RandomSolarize": [(100.0,)],
    "Grayscale": [(1,), (3,)],
    "RandomGrayscale": [(0.5,)],
    "GaussianBlur": [(3,)],
    "RandomErasing": [()],
    "RandAugment": [()],
}


@pytest.mark.parametrize(("name", "arguments"), [(name, one) for name, given in BEFORE.items() for one in given])
def test_the_order_of_the_numbers_follows_what_steps_before_make_of_the_layout(name, arguments):
    """torch draws them pixel by pixel where an image lies so, and some steps lay it out anew."""
    steps = [getattr(transforms, name)(*arguments), GaussianNoise(), RandomHorizontalFlip()]
    theirs = v2.Compose([getattr(v2, name)(*arguments), v2.GaussianNoise(), v2.RandomHorizontalFlip()])
    images = [channels_last(make_image((40, 31))), make_image((32, 32)), channels_last(make_image((17, 45)))]
    for seed in range(4):
        results = Pipeline(steps)(images, [seed] * len(images))
        for image, result in zip(images, results, strict=True):
            torch.manual_seed(seed)
            assert_same(result, theirs(image), f"{name}{arguments}, seed {seed}")


def test_a_record_gives_the_same_noise_wherever_the_image_lies():
    image = make_image((12, 17))
    for given in (image, channels_last(image)):
        results = Pipeline([GaussianNoise()])([given], [5], records=True)
        record = Record.from_json(results.records[0].to_json())
        for other in (image, channels_last(image)):
            assert_same(record.replay(other), results[0], "replayed")


def test_alone_and_in_a_batch_it_is_the_same():
    images = [
        channels_last(image) if place % 2 else image for place, image in enumerate(make_images(sizes=[(9, 8)] * 4))
    ]
    pipeline = Pipeline([GaussianNoise(), RandomHorizontalFlip()])
    together = pipeline(images, range(len(images)))
    for seed, image in enumerate(images):
        assert_same(pipeline([image], [seed])[0], together[seed], f"seed {seed}")


def test_what_can_never_work_is_refused_with_the_cure():
    with pytest.raises(InvalidInput, match="GaussianNoise takes uint8 or floats, got int16: ToDtype goes before it"):
        Pipeline([GaussianNoise()])([torch.zeros(3, 4, 4, dtype=torch.int16)], [0])
    with pytest.raises(ValueError, match="GaussianNoise takes tensors, not PIL images"):
        GaussianNoise()(make_picture(size=(4, 4)))
    with pytest.raises(ValueError, match=r"GaussianNoise.sigma: -1 is less than 0"):
        GaussianNoise(sigma=-1)


def test_samples_without_an_image_pass():
    structures = [{"boxes": make_structure()["XYXY"]}, {"mask": make_video_structure()["mask"]}]
    for structure in structures:
        assert_eager_target_parity(GaussianNoise(), v2.GaussianNoise(), structure)
