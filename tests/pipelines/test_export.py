"""Exported pipelines: programs with the pipeline's bytes, for one shape or any, that run where augserve is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from parity import assert_same
from torch import Tensor

from augserve_pipelines import InvalidInput, InvalidPipeline, Pipeline, transforms
from augserve_pipelines.exporting import METADATA, ProgramInput, export, module
from augserve_pipelines.transforms import Transform
from factories import make_image, make_noise

CONFIGS = Path(__file__).parents[2] / "configs" / "pipelines"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ANY = ProgramInput(None, 3, None, None)
SIZES = ((50, 70), (90, 33), (40, 40), (12, 100), (200, 24))

# What a process does that has torch alone.
ALONE = """
import sys, torch
for name in ("augserve", "augserve_pipelines", "augserve_server", "torchvision", "numba", "PIL"):
    sys.modules[name] = None  # so that importing it fails
program, images, results = sys.argv[1:]
run = torch.export.load(program).module()
torch.save([run(image) for image in torch.load(images)], results)
"""

FLOATS = [transforms.ToDtype(torch.float32, scale=True), transforms.Normalize(MEAN, STD)]


def assert_exported(pipeline: Pipeline, takes: ProgramInput, batches: Sequence[Tensor]) -> None:
    """The program gives what the pipeline gives for each image of each batch."""
    run = export(pipeline, takes).program.module()
    for batch in batches:
        expected = list(pipeline(list(batch), [0] * len(batch)))
        for one, other in zip(run(batch), expected, strict=True):
            assert_same(one, other, f"{takes}, {[*batch.shape]}")


def make_batches(sizes: Sequence[tuple[int, int]] = SIZES) -> list[Tensor]:
    return [torch.stack([make_image(size), make_noise(size), make_image(size, name="coffee")]) for size in sizes]


@pytest.mark.parametrize(
    "steps",
    [
        [transforms.Resize(40), transforms.CenterCrop(32), *FLOATS],
        [transforms.Resize((31, 77), interpolation="bicubic"), transforms.Grayscale(3)],
        [transforms.Resize(20, max_size=30, interpolation="nearest")],
        [transforms.CenterCrop((45, 45)), transforms.GaussianBlur(5, sigma=1.1)],
        [transforms.Pad([3, 1, 0, 5], padding_mode="reflect"), transforms.ConvertImageDtype(torch.float32)],
        [transforms.Pad([3, -1, 0, 5], fill=[1.0, 2.0, 3.0]), transforms.RandomHorizontalFlip(1.0)],
        [
            transforms.Compose([transforms.Identity(), transforms.Compose([transforms.RGB()])]),
            transforms.ToPureTensor(),
        ],
        [transforms.RandomApply([transforms.RandomInvert(1.0), transforms.RandomVerticalFlip(0.0)], p=1.0)],
        [transforms.FiveCrop(12), *FLOATS],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
def test_a_program_for_any_size_gives_the_pipelines_bytes(steps: list[Transform]) -> None:
    assert_exported(Pipeline(steps), ANY, make_batches())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pillows_resize_is_exported_exactly(interpolation: str) -> None:
    resize = transforms.Resize(28, interpolation=interpolation)
    takes = ANY if interpolation == "bicubic" else ProgramInput(None, 3, 50, 70)
    batches = make_batches() if takes is ANY else make_batches(((50, 70),))
    assert_exported(Pipeline([resize, *FLOATS], parity="pillow"), takes, batches)


@pytest.mark.parametrize("parity", ["torchvision", "pillow"])
def test_a_program_for_one_size_gives_the_pipelines_bytes(parity: str) -> None:
    steps = [transforms.Resize(40), transforms.CenterCrop(32), *FLOATS]
    pipeline = Pipeline(steps, parity=parity)
    assert_exported(pipeline, ProgramInput(3, 3, 50, 70), make_batches(((50, 70),)))


@pytest.mark.parametrize("strict", [True, False])
def test_the_module_of_a_pipeline_goes_through_torchs_own_export(strict: bool) -> None:
    pipeline = Pipeline([transforms.Resize(40), transforms.CenterCrop(32), *FLOATS])
    dims = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    example = torch.zeros(2, 3, 48, 66, dtype=torch.uint8)
    program = torch.export.export(module(pipeline), (example,), dynamic_shapes=(dims,), strict=strict)
    for batch in make_batches():
        assert_same(program.module()(batch)[1], pipeline([batch[1]], [0])[0], f"{[*batch.shape]}")


@pytest.mark.parametrize("strict", [True, False])
def test_transforms_themselves_go_through_torchs_own_export(strict: bool) -> None:
    transform, image = transforms.Compose([transforms.Resize(20), transforms.CenterCrop(10)]), make_image((30, 40))
    program = torch.export.export(transform, (image,), strict=strict)
    assert torch.equal(program.module()(image), transform(image))


def test_a_gray_pipeline_takes_one_channel() -> None:
    pipeline = Pipeline([transforms.RGB(), transforms.CenterCrop(12)])
    assert_exported(pipeline, ProgramInput(None, 1, 30, 40), [make_image((30, 40), channels=1).unsqueeze(0)])


def test_the_cast_that_a_pipeline_gives_is_part_of_the_program() -> None:
    pipeline = Pipeline([transforms.CenterCrop(12), *FLOATS]).giving(torch.float16)
    assert_exported(pipeline, ProgramInput(None, 3, 30, 40), make_batches(((30, 40),)))


def test_a_linear_map_of_a_batch_is_within_a_bound() -> None:
    """The bound that docs/exceptions.md names: a product of more rows has other sums."""
    count = 3 * 10 * 12
    matrix = make_noise((count, count), torch.float32, channels=1)[0] - 0.5
    pipeline = Pipeline(
        [transforms.ToDtype(torch.float32, scale=True), transforms.LinearTransformation(matrix, matrix[0])]
    )
    run = export(pipeline, ProgramInput(None, 3, 10, 12)).program.module()
    batch = torch.stack([make_noise((10, 12), seed=seed) for seed in range(7)])
    expected = torch.stack(list(pipeline(list(batch))))
    assert float((run(batch) - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
    assert_same(run(batch[:1])[0], pipeline([batch[0]])[0], "alone")


def test_programs_write_into_nothing_that_they_are_given() -> None:
    pipeline = Pipeline([transforms.Normalize(MEAN, STD, inplace=True)])
    run = export(pipeline, ProgramInput(1, 3, 8, 9, torch.float32)).program.module()
    image = make_image((8, 9), torch.float32).unsqueeze(0)
    run(image)
    assert torch.equal(image[0], make_image((8, 9), torch.float32))


def test_a_program_runs_in_a_process_without_augserve(tmp_path: Path) -> None:
    program, images, results = tmp_path / "program.pt2", tmp_path / "images.pt", tmp_path / "results.pt"
    pipeline = Pipeline.load(CONFIGS / "imagenet_eval.yaml")
    export(pipeline, ANY).save(program)
    batches = make_batches(((300, 400), (500, 260)))
    torch.save(batches, images)
    subprocess.run([sys.executable, "-I", "-c", ALONE, program, images, results], check=True)
    for batch, found in zip(batches, torch.load(results), strict=True):
        for image, result in zip(batch, found, strict=True):
            assert_same(result, pipeline([image], [0])[0], f"{[*batch.shape]}")


def test_a_file_says_what_its_program_is_and_takes(tmp_path: Path) -> None:
    pipeline = Pipeline.load(CONFIGS / "imagenet_eval.yaml")
    export(pipeline, ProgramInput(None, 3, 480, 640)).save(tmp_path / "program.pt2")
    found = {METADATA: ""}
    torch.export.load(tmp_path / "program.pt2", extra_files=found)
    about = json.loads(found[METADATA])
    assert about == {
        "pipeline": "imagenet_eval",
        "description": pipeline.description,
        "fingerprint": pipeline.fingerprint,
        "parity": "torchvision",
        "torch": torch.__version__,
        "input": {"shape": [None, 3, 480, 640], "dtype": "uint8", "mode": "RGB"},
        "outputs": [{"shape": [None, 3, 224, 224], "dtype": "float32"}],
    }
    assert (tmp_path / "program.pt2").stat().st_size < 100_000
    assert str(Path(__file__).parents[2]).encode() not in (tmp_path / "program.pt2").read_bytes()


@pytest.mark.parametrize("name", ["clip_eval", "imagenet_eval", "thumbnail"])
def test_shipped_pipelines_that_draw_nothing_are_modules(name: str) -> None:
    pipeline, image = Pipeline.load(CONFIGS / f"{name}.yaml"), make_image((300, 400))
    assert_same(module(pipeline)(image), pipeline([image])[0], name)


def test_all_steps_that_draw_are_named_with_their_places() -> None:
    nested = transforms.Compose([transforms.CenterCrop(9), transforms.RandomInvert(0.3)])
    steps = [
        transforms.RandomResizedCrop(9),
        transforms.RandomApply([nested, transforms.RandomChoice([nested])], p=1.0),
        transforms.RandomApply([nested], p=0.4),
        transforms.JPEG(50),
    ]
    with pytest.raises(InvalidPipeline) as caught:
        module(Pipeline(steps))
    assert [problem.place for problem in caught.value.problems] == [
        "transforms[0].RandomResizedCrop",
        "transforms[1].RandomApply.transforms[0].Compose.transforms[1].RandomInvert",
        "transforms[1].RandomApply.transforms[1].RandomChoice",
        "transforms[2].RandomApply",
        "transforms[3].JPEG",
    ]
    assert "draws at random" in str(caught.value)


def test_inputs_that_a_pipeline_cannot_take_are_refused_before_a_program_is_made() -> None:
    with pytest.raises(InvalidInput, match="any x 3 x 9 x 9 uint8: Normalize takes floats"):
        export(Pipeline([transforms.Normalize(MEAN, STD)]), ProgramInput(None, 3, 9, 9))
    with pytest.raises(InvalidInput, match="a crop of 20 x 20 is larger than the image"):
        export(Pipeline([transforms.FiveCrop(20)]), ProgramInput(1, 3, 9, 9))
    with pytest.raises(InvalidInput, match="integer arithmetic is for images of uint8"):
        export(Pipeline([*FLOATS, transforms.Resize(9)], parity="pillow"), ANY)


def test_a_program_for_any_size_refuses_what_the_pipeline_refuses() -> None:
    run = export(Pipeline([transforms.FiveCrop(20)]), ANY).program.module()
    with pytest.raises((AssertionError, RuntimeError)):
        run(torch.zeros(1, 3, 10, 30, dtype=torch.uint8))


@pytest.mark.parametrize("transform", [transforms.RandomCrop(5), transforms.RandomInvert()], ids=repr)
def test_a_random_transform_says_that_it_cannot_be_exported(transform: Transform) -> None:
    with pytest.raises(Exception, match="cannot be exported"):
        torch.export.export(transform, (make_image((20, 20)),), strict=False)
