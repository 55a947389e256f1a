"""Explanations say what the plan does, and what the operations' own counts are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from augserve_pipelines import Explanation, Frames, InvalidInput, OutputSignature, Pipeline, explain
from augserve_pipelines import transforms as T
from augserve_pipelines.batch import Batch, Block
from augserve_pipelines.explaining import moved, name_of
from augserve_pipelines.kernels.launching import interpreted
from augserve_pipelines.ops import Op, Select
from augserve_pipelines.plan import flat
from augserve_pipelines.transforms.crop import Crop

SHIPPED = sorted((Path(__file__).parents[2] / "configs/pipelines").glob("*.yaml"))
FINISH = [T.ToDtype(torch.float32, scale=True), T.Normalize([0.5], [0.5])]


def one_step(transforms: Sequence[T.Transform], **options: Any) -> Any:
    (step,) = explain(Pipeline(transforms), **options).steps
    return step


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_pipeline_is_explained(file: Path) -> None:
    found = explain(Pipeline.load(file), count=16)
    assert (found.height, found.width, found.count) == (375, 500, 16)
    assert found.output == Pipeline.load(file).signature()
    assert 0 < found.fused.bytes <= found.unfused.bytes
    assert all(0 < origin.samples <= 16 for step in found.steps for origin in step.origins)
    assert found.fused.launches == sum(step.cost.launches for step in found.steps)


@pytest.mark.parametrize("name", ["imagenet_train", "imagenet_randaugment", "simclr", "segmentation"])
def test_the_steps_are_those_of_the_plan(name: str) -> None:
    pipeline = Pipeline.load(SHIPPED[0].with_name(f"{name}.yaml"))
    steps = explain(pipeline, (100, 150), 8, seed=3).steps
    plan = pipeline.plan(Frames.decoded([(3, 100, 150)] * 8), range(3, 11))
    assert [step.name for step in steps] == [name_of(op) for op in plan.ops]


def test_origins_are_what_was_drawn_with_the_samples_that_each_acts_on() -> None:
    crop_and_flip = [T.RandomResizedCrop(32), T.RandomHorizontalFlip()]
    images = [torch.zeros(3, 20, 30, dtype=torch.uint8)] * 64
    records = Pipeline(crop_and_flip)(images, range(64), records=True).records
    flips = sum("horizontal_flip" in str(record) for record in records)
    step = one_step([*crop_and_flip, *FINISH], size=(20, 30), count=64)
    origins = [(origin.name, origin.samples) for origin in step.origins]
    assert origins == [("Crop", 64), ("ResizeTo", 64), ("FlipX", flips), ("CastTo", 64), ("Standardize", 64)]
    assert (step.name, step.samples) == ("Resample", 64)


def test_of_a_fused_resize_the_window_is_read_and_the_result_written() -> None:
    pipeline = Pipeline([T.CenterCrop((100, 200)), T.Resize((50, 80)), *FINISH])
    (step,) = explain(pipeline, count=4).steps
    assert (step.cost.bytes_read, step.cost.bytes_written) == (3 * 100 * 200, 4 * 3 * 50 * 80)


def test_unfused_every_operation_reads_what_the_one_before_it_wrote() -> None:
    found = explain(Pipeline([T.CenterCrop((100, 200)), T.Resize((50, 80)), *FINISH]), count=4)
    crop, small = 3 * 100 * 200, 3 * 50 * 80
    assert found.unfused.bytes_read == crop + crop + small + 4 * small
    assert found.unfused.bytes_written == crop + small + 4 * small + 4 * small


def test_a_window_that_leaves_the_image_reads_what_it_shows_of_it() -> None:
    window = Crop(*(np.array([value]) for value in (-10, 400, 50, 300)))  # top, left, height, width
    assert moved(window, Frames.decoded([(3, 375, 500)])) == (3 * 40 * 100, 3 * 50 * 300)


def test_an_operation_on_some_samples_moves_the_bytes_of_these() -> None:
    step = one_step([T.RandomVerticalFlip()], size=(10, 10), count=64)
    assert 0 < step.samples < 64
    assert step.cost.bytes_read == step.cost.bytes_written == round(300 * step.samples / 64)


def test_pipelines_that_refuse_images_are_explained_for_what_they_take() -> None:
    frames = explain(Pipeline([T.UniformTemporalSubsample(4)]), (10, 20), 2)
    assert frames.inputs == "videos of 32 frames"
    assert frames.fused.bytes_written == 4 * 3 * 10 * 20
    assert explain(Pipeline([T.SanitizeBoundingBoxes(), T.RandomVerticalFlip(1.0)]), (9, 9), 2).inputs == (
        "images with boxes"
    )
    assert explain(Pipeline([T.Grayscale()]), (9, 9), 2).inputs == "images"


def test_what_acts_on_the_whole_batch_is_listed_after_it() -> None:
    found = explain(Pipeline([T.Resize((8, 8)), *FINISH, T.MixUp(num_classes=10), T.RandomErasing()]), count=4)
    assert [step.name for step in found.steps] == ["Resample"]
    assert found.together == ("MixUp", "RandomErasing")


def test_nothing_is_explained_of_a_pipeline_that_does_nothing() -> None:
    found: Explanation = explain(Pipeline([T.RandomVerticalFlip(0.0)]), count=3)
    assert (found.steps, found.fused.launches, found.fused.bytes, found.unfused.launches) == ((), 0, 0, 0)


def test_a_size_that_is_refused_is_refused_in_the_pipelines_words() -> None:
    with pytest.raises(InvalidInput, match="480"):
        explain(Pipeline([T.RandomCrop(480)]), (375, 500))


def test_a_pipeline_for_images_of_one_size_is_explained_for_these() -> None:
    found = explain(Pipeline([T.RandomCrop(1500)]), (1500, 2000), 2)
    assert found.output == OutputSignature("uint8", 3, 1500, 1500)


def test_images_that_would_grow_too_large_are_refused() -> None:
    with pytest.raises(InvalidInput, match="would grow"):
        explain(Pipeline([T.Resize((100, 100))]).within(1000), (10, 10))


@pytest.mark.parametrize("options", [{"size": (0, 5)}, {"count": 0}, {"seed": -1}, {"seed": 2**64 - 1, "count": 2}])
def test_what_is_no_batch_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        explain(Pipeline([T.Grayscale()]), **options)


class Counter(TorchDispatchMode):
    """Counts the operations that make or change a tensor on torch's device without pixels, as CUDA would run them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        on_device = any(isinstance(one, Tensor) and one.device.type == "meta" for one in tree_leaves((made,)))
        brought = "_to_copy" in str(function) and args[0].device.type == "cpu"  # a copy, for which nothing is launched
        self.count += on_device and not (function.is_view or brought or "empty" in str(function))
        return made


def counted(op: Op, frames: Frames) -> int:
    """What an op launches for images of one shape that lie in one block."""
    data = torch.empty((len(frames), *frames.shape(0)), dtype=frames.dtypes[0], device="meta")
    with Counter() as counter:
        op.run(Batch([Block(np.arange(len(frames)), data)]))
    return counter.count


CASES: dict[str, Callable[[], list[T.Transform]]] = {
    "Crop": lambda: [T.RandomCrop(32)],
    "CastTo": lambda: [FINISH[0]],
    "FlipX": lambda: [T.RandomHorizontalFlip(1.0)],
    "PadEdges": lambda: [T.Pad(4)],
    "Invert": lambda: [T.RandomInvert(1.0)],
    "Posterize": lambda: [T.RandomPosterize(4, 1.0)],
    "Solarize": lambda: [T.RandomSolarize(100, 1.0)],
    "ToGray": lambda: [T.Grayscale()],
    "PermuteChannels": lambda: [T.RandomChannelPermutation()],
    "Autocontrast": lambda: [T.RandomAutocontrast(1.0)],
    "Sharpen": lambda: [T.RandomAdjustSharpness(2, 1.0)],
    "Erase": lambda: [T.RandomErasing(1.0)],
    "Jitter": lambda: [T.ColorJitter(0.4, 0.4, 0.4, 0.1)],
}


@pytest.mark.parametrize("name", CASES)
def test_operations_say_about_how_much_torch_launches(name: str) -> None:
    frames = Frames.decoded([(3, 40, 50)] * 6)
    (op,) = flat(Pipeline(CASES[name]()).sketch(frames, range(6)))
    own = op.op if isinstance(op, Select) else op
    assert counted(own, frames) / 1.5 - 2 <= own.launches(frames) <= counted(own, frames) * 1.5 + 2


OURS: dict[str, Callable[[], list[T.Transform]]] = {
    "Resample": lambda: [T.RandomResizedCrop(12), *FINISH],
    "ResizeTo": lambda: [T.Resize((12, 16))],
    "AffineMap": lambda: [T.RandomAffine(10)],
    "Rotate": lambda: [T.RandomRotation(10)],
    "PerspectiveMap": lambda: [T.RandomPerspective(p=1.0)],
    "Blur": lambda: [T.GaussianBlur(5)],
    "Finish": lambda: FINISH,
    "ColorProgram": lambda: [T.ColorJitter(0.4, 0.4, 0.4, 0.1)],
}


@pytest.mark.parametrize("name", OURS)
def test_operations_with_kernels_of_our_own_say_how_often_these_are_launched(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = pytest.importorskip("triton.runtime.interpreter")
    calls: list[object] = []
    launch = interpreter.GridExecutor.__call__

    def counting(self: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(self)
        return launch(self, *arguments, **options)

    monkeypatch.setattr(interpreter.GridExecutor, "__call__", counting)
    frames = Frames.decoded([(3, 18, 20)] * 4)
    (op,) = Pipeline(OURS[name]()).plan(frames, range(4)).ops
    data = torch.zeros((4, 18, 20, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    with interpreted():
        op.run(Batch([Block(np.arange(4), data)]))
    filled = name == "ColorProgram"  # what statistics are gathered in is filled with zeros, by torch
    assert type(op).__name__ == name
    assert op.launches(frames) == len(calls) + filled


def test_a_select_launches_what_takes_samples_apart_and_together_too() -> None:
    frames = Frames.decoded([(3, 40, 50)] * 64)
    (select,) = flat(Pipeline([T.RandomInvert()]).sketch(frames, range(64)))
    assert select.launches(frames) == counted(select, frames) == 4  # two parts out, the inversion, all together
