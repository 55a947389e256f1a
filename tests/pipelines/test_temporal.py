"""Frames of videos against torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from targets import as_ours, assert_same_leaf, assert_target_parity, make_structure, make_video_structure

from augserve_pipelines import InvalidInput, Pipeline, transforms
from augserve_pipelines.transforms.temporal import uniform_temporal_subsample, uniform_temporal_subsample_video
from factories import make_image, make_noise, make_picture
from oracle import tv_functional, tv_tensors, v2


def make_video(frames: int, *lead: int) -> tv_tensors.Video:
    return tv_tensors.Video(
        torch.arange(frames, dtype=torch.uint8).view(frames, 1, 1, 1).expand(*lead, frames, 3, 4, 5)
    )


@pytest.mark.parametrize("num_samples", [1, 2, 3, 7])
def test_frames_of_every_kind(num_samples: int) -> None:
    structures = [make_structure(), make_video_structure(), {"video": make_video(9, 2), "name": "a video"}]
    structures += [[make_video(5), torch.zeros(3)], {"image": make_picture(size=(5, 6)), "boxes": None}]
    ours, theirs = (one.UniformTemporalSubsample(num_samples) for one in (transforms, v2))
    assert_target_parity(ours, theirs, structures, seeds=(0,))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 31])
def test_frames_are_torchvisions(count: int) -> None:
    for num_samples in range(1, 40):
        video = make_video(count)
        for leaf in (video, video.as_subclass(torch.Tensor)):
            ours = uniform_temporal_subsample(leaf, num_samples)
            assert_same_leaf(ours, tv_functional.uniform_temporal_subsample(leaf, num_samples), f"{num_samples}")
        plain = video.as_subclass(torch.Tensor)
        theirs = tv_functional.uniform_temporal_subsample_video(plain, num_samples)
        assert torch.equal(uniform_temporal_subsample_video(plain, num_samples), theirs)


def test_steps_that_follow_act_on_every_frame() -> None:
    names = ["RandomResizedCrop", "RandomHorizontalFlip"]
    steps = [[transforms.UniformTemporalSubsample(4)], [v2.UniformTemporalSubsample(4)]]
    for own, library in zip(steps, (transforms, v2), strict=True):
        own += [getattr(library, name)(*arguments) for name, arguments in zip(names, ((20,), (0.5,)), strict=True)]
        own += [library.ToDtype(torch.float32, scale=True), library.Normalize([0.5] * 3, [0.2] * 3)]
    videos = [tv_tensors.Video(torch.stack([make_image((40, 50)), make_noise((40, 50))] * n)) for n in (1, 2, 3)]
    results = Pipeline(steps[0])([as_ours(video) for video in videos], range(3))
    for seed, (video, result) in enumerate(zip(videos, results, strict=True)):
        torch.manual_seed(seed)
        assert_same_leaf(result, as_ours(v2.Compose(steps[1])(video)), f"seed {seed}")


@pytest.mark.parametrize("leaf", [tv_tensors.Image(torch.zeros(2, 3, 4, 5)), make_structure()["XYXY"]])
def test_the_functional_takes_videos_and_tensors(leaf: Any) -> None:
    for functional in (uniform_temporal_subsample, tv_functional.uniform_temporal_subsample):
        with pytest.raises(TypeError):
            functional(leaf, 2)


def test_tensors_without_frames_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"takes videos, \[..., T, C, H, W\], not \[3, 8, 9\]"):
        Pipeline([transforms.UniformTemporalSubsample(2)])([make_noise((8, 9))], [0])
    with pytest.raises(InvalidInput, match="a video has frames"):
        uniform_temporal_subsample(make_noise((8, 9)), 2)


def test_no_frames_at_all_are_refused_as_an_argument() -> None:
    with pytest.raises(ValueError, match="num_samples"):
        transforms.UniformTemporalSubsample(0)
