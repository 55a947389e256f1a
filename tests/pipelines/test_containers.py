"""Compose, Identity, RandomApply, RandomChoice and RandomOrder against torchvision, nested and over mixed sizes."""

import pytest
import torch

from augserve_pipelines.errors import InvalidInput
from augserve_pipelines.pipeline import Pipeline
from augserve_pipelines.transforms.blur import GaussianBlur
from augserve_pipelines.transforms.color import ColorJitter
from augserve_pipelines.transforms.containers import Compose, Identity, RandomApply, RandomChoice, RandomOrder
from augserve_pipelines.transforms.conversion import ToDtype
from augserve_pipelines.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip
from augserve_pipelines.transforms.grayscale import Grayscale, RandomGrayscale
from augserve_pipelines.transforms.normalize import Normalize
from augserve_pipelines.transforms.pointwise import RandomInvert, RandomPosterize, RandomSolarize
from augserve_pipelines.transforms.random_crop import RandomCrop
from augserve_pipelines.transforms.random_resized_crop import RandomResizedCrop
from augserve_pipelines.transforms.resize_to import Resize
from oracle import v2
from pipelines.parity import SEEDS, assert_eager_parity, assert_parity, assert_same, make_images

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def flips() -> list:
    return [RandomHorizontalFlip(0.5), RandomVerticalFlip(0.5)]


def their_flips() -> list:
    return [v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]


PAIRS = {
    "identity": (Identity(), v2.Identity()),
    "compose": (
        Compose([RandomCrop(5, pad_if_needed=True), *flips(), Identity()]),
        v2.Compose([v2.RandomCrop(5, pad_if_needed=True), *their_flips(), v2.Identity()]),
    ),
    "compose of one": (Compose([RandomInvert()]), v2.Compose([v2.RandomInvert()])),
    "apply": (
        RandomApply([Resize([9, 6]), RandomHorizontalFlip()], p=0.4),
        v2.RandomApply([v2.Resize([9, 6]), v2.RandomHorizontalFlip()], p=0.4),
    ),
    "apply never": (RandomApply(flips(), p=0.0), v2.RandomApply(their_flips(), p=0.0)),
    "apply always": (RandomApply(flips(), p=1.0), v2.RandomApply(their_flips(), p=1.0)),
    "choice": (
        RandomChoice([*flips(), RandomResizedCrop(8), ColorJitter(0.5)]),
        v2.RandomChoice([*their_flips(), v2.RandomResizedCrop(8), v2.ColorJitter(0.5)]),
    ),
    "weighted choice": (
        RandomChoice([Grayscale(), RandomInvert(1.0), Identity()], p=[3, 0, 1]),
        v2.RandomChoice([v2.Grayscale(), v2.RandomInvert(1.0), v2.Identity()], p=[3, 0, 1]),
    ),
    "choice of one": (RandomChoice([RandomPosterize(3)], p=[0.1]), v2.RandomChoice([v2.RandomPosterize(3)], p=[0.1])),
    "order": (
        RandomOrder([RandomResizedCrop((6, 11)), RandomSolarize(100.0), Resize(7), RandomGrayscale(0.5)]),
        v2.RandomOrder(
            [v2.RandomResizedCrop((6, 11)), v2.RandomSolarize(100.0), v2.Resize(7), v2.RandomGrayscale(0.5)]
        ),
    ),
    "order of one": (RandomOrder([RandomInvert()]), v2.RandomOrder([v2.RandomInvert()])),
    "nested": (
        Compose(
            [
                RandomOrder([RandomChoice([RandomResizedCrop(12), Identity()], p=[1, 2]), RandomApply(flips(), p=0.7)]),
                RandomApply([RandomOrder([ColorJitter(0.4, 0.4), RandomInvert()]), Compose([RandomGrayscale(0.3)])]),
                RandomChoice([RandomApply([Resize(10)], p=0.5), RandomHorizontalFlip(1.0), RandomOrder(flips())]),
                RandomCrop(4, pad_if_needed=True),
            ]
        ),
        v2.Compose(
            [
                v2.RandomOrder(
                    [
                        v2.RandomChoice([v2.RandomResizedCrop(12), v2.Identity()], p=[1, 2]),
                        v2.RandomApply(their_flips(), p=0.7),
                    ]
                ),
                v2.RandomApply(
                    [
                        v2.RandomOrder([v2.ColorJitter(0.4, 0.4), v2.RandomInvert()]),
                        v2.Compose([v2.RandomGrayscale(0.3)]),
                    ]
                ),
                v2.RandomChoice(
                    [
                        v2.RandomApply([v2.Resize(10)], p=0.5),
                        v2.RandomHorizontalFlip(1.0),
                        v2.RandomOrder(their_flips()),
                    ]
                ),
                v2.RandomCrop(4, pad_if_needed=True),
            ]
        ),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_containers_match(name, dtype):
    assert_parity(*PAIRS[name], make_images(dtype, sizes=[(7, 13), (31, 64), (64, 64), (100, 150)]))


def test_a_contrastive_pipeline_matches():
    ours = Compose(
        [
            RandomResizedCrop(64),
            RandomHorizontalFlip(),
            RandomApply([ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            RandomGrayscale(0.2),
            RandomApply([GaussianBlur(9, (0.1, 2.0))], p=0.5),
            RandomSolarize(128.0, p=0.2),
            ToDtype(torch.float32, scale=True),
            Normalize(MEAN, STD),
        ]
    )
    theirs = v2.Compose(
        [
            v2.RandomResizedCrop(64),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(9, (0.1, 2.0))], p=0.5),
            v2.RandomSolarize(128.0, p=0.2),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    assert_parity(ours, theirs, make_images(smallest=7))


@pytest.mark.parametrize("name", ["nested", "choice", "order"])
def test_a_sample_does_not_depend_on_its_neighbours(name):
    ours, _ = PAIRS[name]
    images = make_images(sizes=[(7, 13), (31, 64), (64, 64)])
    together = Pipeline([ours])(images, SEEDS[: len(images)])
    for image, seed, expected in zip(images, SEEDS, together, strict=False):
        assert_same(Pipeline([ours])([image], [seed])[0], expected, f"alone, seed {seed}")
    backwards = Pipeline([ours])(images[::-1], SEEDS[: len(images)][::-1], chunk=2)
    for place, expected in enumerate(together):
        assert_same(backwards[len(images) - 1 - place], expected, "in another order")


def test_containers_take_structures_eagerly():
    image, label = make_images(sizes=[(7, 13)])[0], 3
    for ours, theirs in PAIRS.values():
        for seed in range(4):
            assert_eager_parity(ours, theirs, {"image": image, "label": label}, seed=seed)
            assert_eager_parity(ours, theirs, image, label, seed=seed)


def test_a_child_that_refuses_an_image_is_heard_only_where_it_runs():
    image = torch.zeros(2, 9, 9, dtype=torch.uint8)
    assert_parity(RandomApply([Grayscale()], 0.5), v2.RandomApply([v2.Grayscale()], 0.5), [image], SEEDS[:12])
    ours, theirs = RandomChoice([Identity(), Grayscale()]), v2.RandomChoice([v2.Identity(), v2.Grayscale()])
    assert_parity(ours, theirs, [image], SEEDS[:12])


def test_children_draw_on_what_those_before_them_leave():
    images = [image for image in make_images() if min(image.shape[1:]) < 200]
    ours, theirs = Compose([RandomCrop(200)]), v2.Compose([v2.RandomCrop(200)])
    assert_parity(ours, theirs, images[:2], SEEDS[:2])
    ours, theirs = Compose([Resize(200), RandomCrop(200)]), v2.Compose([v2.Resize(200), v2.RandomCrop(200)])
    assert_parity(ours, theirs, images, SEEDS[:2])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Compose([]), "Compose.transforms"),
        (lambda: RandomApply([Identity()], p=1.5), r"RandomApply.p: 1.5 is greater than 1"),
        (lambda: RandomChoice([Identity()], p=[1, 2]), "p has 2 weights for 1 transforms"),
        (lambda: RandomChoice([Identity()], p=[0]), "at least one weight must be greater than 0"),
        (lambda: RandomChoice([Identity()], p=[-1]), "-1"),
        (lambda: RandomOrder([3]), "RandomOrder.transforms"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_crop_inside_a_container_refuses_small_images():
    with pytest.raises(InvalidInput):
        Pipeline([RandomApply([RandomCrop(50)], p=1.0)])(make_images(sizes=[(7, 13)])[:1], [0])
