"""The pipelines that ship: they load, editors know their schema, and they are the recipes they are named for."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import yaml
from targets import as_ours, assert_same_structure, make_boxes

from augserve_pipelines import InputRule, OutputSignature, Pipeline
from augserve_pipelines.schema import pipeline_schema
from factories import make_image, make_picture
from oracle import tv_tensors, v2

FOLDER = Path(__file__).resolve().parents[2] / "configs/pipelines"
FILES = sorted(FOLDER.glob("*.yaml"))
PICTURES = {"china": (300, 340), "astronaut": (512, 512), "flower": (427, 640), "coffee": (150, 100)}
SEEDS = range(8)

IMAGENET = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
CLIP = [
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
]
BICUBIC = v2.InterpolationMode.BICUBIC

# What each is in torchvision; it is given the picture as Pillow decodes it.
RECIPES: dict[str, Callable[[], list[Any]]] = {
    "imagenet_train": lambda: [v2.ToImage(), v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), *IMAGENET],
    "imagenet_eval": lambda: [v2.ToImage(), v2.Resize(256), v2.CenterCrop(224), *IMAGENET],
    "simclr": lambda: [
        v2.ToImage(),
        v2.RandomResizedCrop(224),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
        v2.RandomGrayscale(0.2),
        v2.RandomApply([v2.GaussianBlur(23, (0.1, 2.0))], p=0.5),
        *IMAGENET,
    ],
    "clip_eval": lambda: [v2.Resize(224, BICUBIC), v2.CenterCrop(224), v2.ToImage(), *CLIP],  # Pillow's own resize
    "preview": lambda: [
        v2.ToImage(),
        v2.RandomResizedCrop(224),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    ],
    "thumbnail": lambda: [v2.ToImage(), v2.Resize(256), v2.CenterCrop(256)],
    "imagenet_randaugment": lambda: [
        v2.ToImage(),
        v2.RandomResizedCrop(224),
        v2.RandomHorizontalFlip(),
        v2.RandAugment(),
        *IMAGENET,
        v2.RandomErasing(0.1),
    ],
    "seed_example": lambda: [
        v2.ToImage(),
        v2.ToDtype(torch.uint8, scale=True),
        v2.RandomResizedCrop((224, 224), antialias=True),
        *IMAGENET,
    ],
}


# Those of samples that are more than a picture.
STRUCTURED: dict[str, Callable[[], list[Any]]] = {
    "detection": lambda: [
        v2.RandomPhotometricDistort(),
        v2.RandomZoomOut(fill={tv_tensors.Image: (123, 117, 104), "others": 0}),
        v2.RandomIoUCrop(),
        v2.RandomHorizontalFlip(),
        v2.SanitizeBoundingBoxes(),
        v2.ToDtype(torch.float32, scale=True),
    ],
    "segmentation": lambda: [
        v2.RandomResize(260, 1040),
        v2.RandomHorizontalFlip(),
        v2.RandomCrop(480, pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": 0}),
        *IMAGENET,
    ],
    "video": lambda: [
        v2.UniformTemporalSubsample(16),
        v2.Resize((128, 171), antialias=False),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989]),
        v2.RandomCrop(112),
    ],
}
MIXED = "imagenet_cutmix"

SIZES = {"thumbnail": 256, "segmentation": 480, "video": 112, "detection": None}
BYTES = ("preview", "thumbnail")


def test_these_pipelines_ship() -> None:
    assert {path.stem for path in FILES} == {*RECIPES, *STRUCTURED, MIXED}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_fits_the_schema_that_its_first_line_names(path: Path) -> None:
    text = path.read_text()
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert (path.parent / named[1]).resolve() == FOLDER.parent / "pipeline.schema.json"
    jsonschema.Draft202012Validator(pipeline_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_says_what_it_is_and_what_comes_out(path: Path) -> None:
    pipeline = Pipeline.load(path)
    assert pipeline.name == path.stem
    assert pipeline.description
    size = SIZES.get(path.stem, 224)
    dtype = "uint8" if path.stem in BYTES else "float32"
    assert pipeline.signature() == OutputSignature(dtype, 3, size, size)


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_pipeline_gives_the_bytes_of_its_recipe(name: str) -> None:
    pipeline, recipe = Pipeline.load(FOLDER / f"{name}.yaml"), v2.Compose(RECIPES[name]())
    pictures = [make_picture(which, size) for which, size in PICTURES.items() for _ in SEEDS]
    seeds = [*SEEDS] * len(PICTURES)
    batch = pipeline([v2.functional.pil_to_tensor(picture) for picture in pictures], seeds)
    for index, (picture, seed) in enumerate(zip(pictures, seeds, strict=True)):
        torch.manual_seed(seed)
        assert torch.equal(batch[index], recipe(picture)), f"{picture.size}, seed {seed}"


def _sample(name: str, which: str) -> dict[str, Any]:
    image = make_image((180, 240), name=which)
    if name == "video":
        return {"video": tv_tensors.Video(torch.stack([image.roll(3 * i, -1) for i in range(20)]))}
    if name == "segmentation":
        mask = (image[0] // 64).clone()
        return {"image": tv_tensors.Image(image), "mask": tv_tensors.Mask(mask)}
    boxes = make_boxes((180, 240), count=6, seed=len(which))
    return {"image": tv_tensors.Image(image), "boxes": boxes, "labels": torch.arange(6)}


@pytest.mark.parametrize("name", STRUCTURED)
def test_a_shipped_pipeline_of_samples_gives_what_its_recipe_gives(name: str) -> None:
    pipeline, recipe = Pipeline.load(FOLDER / f"{name}.yaml"), v2.Compose(STRUCTURED[name]())
    samples = [_sample(name, which) for which in PICTURES for _ in SEEDS]
    results = pipeline([as_ours(sample) for sample in samples], [*SEEDS] * len(PICTURES))
    for index, (sample, result) in enumerate(zip(samples, results, strict=True)):
        torch.manual_seed(SEEDS[index % len(SEEDS)])
        assert_same_structure(result, as_ours(recipe(sample)), f"sample {index}")


def test_the_mixed_recipe_is_torchvisions_after_collation() -> None:
    pipeline = Pipeline.load(FOLDER / f"{MIXED}.yaml")
    images = [make_image(size, name=which) for which, size in PICTURES.items()]
    for seed in range(6):
        seeds = [seed, seed + 1, seed + 2, seed + 3]
        mixed = pipeline([(image, label) for label, image in enumerate(images)], seeds)
        alone = Pipeline.load(FOLDER / "imagenet_train.yaml")(images, seeds).stack()
        choice = v2.RandomChoice([v2.MixUp(alpha=0.2, num_classes=1000), v2.CutMix(num_classes=1000)])
        torch.manual_seed(seed + 4)
        expected, shares = choice(alone, torch.arange(4))
        assert torch.equal(torch.stack([image for image, _ in mixed]), expected)
        assert torch.equal(torch.stack([share for _, share in mixed]), shares)


def test_only_the_thumbnail_lays_transparency_on_white() -> None:
    rules = {path.stem: Pipeline.load(path).input for path in FILES}
    assert rules.pop("thumbnail") == InputRule(alpha="white")
    assert set(rules.values()) == {InputRule()}
