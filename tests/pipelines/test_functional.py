"""The namespace of functionals: sizes, kernels of videos, aliases, and kernels of one's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import Image as Picture
from torch import Tensor

from augserve_pipelines import tv_tensors
from augserve_pipelines.dispatch import FUNCTIONALS, Functional
from augserve_pipelines.transforms import functional as F
from augserve_pipelines.transforms.functional import videos
from factories import make_image, make_picture
from oracle import tv_functional
from oracle import tv_tensors as theirs
from pipelines.parity import assert_same
from pipelines.targets import as_ours, make_structure, make_video_structure

LEAVES = {
    **make_structure(),
    **make_video_structure(),
    "picture": make_picture(size=(5, 7)),
    "gray": make_picture(size=(5, 7), mode="L"),
    "two dimensions": torch.zeros(4, 6),
    "one dimension": torch.zeros(4),
    "clip": torch.zeros(2, 3, 4, 6),
}
# What each kernel of videos is tried with.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "adjust_brightness": {"brightness_factor": 0.7},
    "adjust_contrast": {"contrast_factor": 1.3},
    "adjust_gamma": {"gamma": 0.8, "gain": 1.1},
    "adjust_hue": {"hue_factor": -0.1},
    "adjust_saturation": {"saturation_factor": 1.7},
    "adjust_sharpness": {"sharpness_factor": 2.0},
    "affine": {"angle": 5.0, "translate": [1, 2], "scale": 1.1, "shear": [3.0, 0.0], "interpolation": "bilinear"},
    "center_crop": {"output_size": [30, 70]},
    "crop": {"top": -3, "left": 5, "height": 20, "width": 70},
    "elastic": {"displacement": torch.linspace(-0.1, 0.1, 2 * 40 * 60).view(1, 40, 60, 2)},
    "erase": {"i": 1, "j": 2, "h": 3, "w": 4, "v": torch.tensor([[[5]]])},
    "five_crop": {"size": [20, 30]},
    "gaussian_blur": {"kernel_size": [3, 5]},
    "gaussian_noise": {"sigma": 0.2},
    "pad": {"padding": [1, 2, 3, 4], "fill": [7, 8, 9]},
    "resize": {"size": [20, 90], "interpolation": "bicubic"},
    "resized_crop": {"top": 3, "left": 5, "height": 20, "width": 30, "size": [15, 40]},
    "ten_crop": {"size": 25, "vertical_flip": True},
    "normalize": {"mean": [0.5], "std": [0.25]},
    "permute_channels": {"permutation": [2, 0, 1]},
    "perspective": {
        "startpoints": [[0, 0], [59, 0], [59, 39], [0, 39]],
        "endpoints": [[3, 2], [55, 1], [57, 36], [2, 37]],
    },
    "posterize": {"bits": 3},
    "rotate": {"angle": 33.0, "expand": True},
    "solarize": {"threshold": 100},
    "to_dtype": {"dtype": torch.float64, "scale": True},
}


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize(
    "name", ["get_dimensions", "get_num_channels", "get_image_num_channels", "get_size", "get_num_frames"]
)
def test_sizes(name: str) -> None:
    ours, oracle = getattr(F, name), getattr(tv_functional, name)
    for leaf in [*LEAVES.values(), *LEAVES.items(), None]:
        try:
            expected = oracle(leaf)
        except (TypeError, IndexError) as error:
            for own in (leaf, as_ours(leaf)):
                with pytest.raises(type(error)):
                    ours(own)
            continue
        assert ours(leaf) == expected
        assert ours(as_ours(leaf)) == expected


def test_the_size_of_v1_is_the_other_way_round() -> None:
    for leaf in (LEAVES["image"], LEAVES["picture"], LEAVES["clip"]):
        with pytest.warns(UserWarning, match=r"get_image_size\(...\) is deprecated"):
            assert F.get_image_size(leaf) == [*reversed(tv_functional.get_size(leaf))]
    with pytest.warns(UserWarning, match="deprecated"), pytest.raises(TypeError, match="takes an image, got str"):
        F.get_image_size("image")


@pytest.mark.parametrize("name", [name for name in videos.__all__ if name != "jpeg_video"])
def test_kernels_of_videos(name: str) -> None:
    video = make_video_structure()["video"].as_subclass(Tensor)
    video = video.float() / 255 if name == "normalize_video" else video
    arguments = ARGUMENTS.get(name.removesuffix("_video"), {})
    torch.manual_seed(0)
    expected = getattr(tv_functional, name)(video, **arguments)
    torch.manual_seed(0)
    result = getattr(F, name)(video=video, **arguments)
    assert type(result) is type(expected)
    for one, other in zip(result, expected, strict=True):  # frames, or crops
        assert_same(one, other, name)


def test_each_frame_is_encoded_by_itself() -> None:
    video = make_video_structure()["video"].as_subclass(Tensor)  # torchvision has no codec without its operators
    assert_same(F.jpeg_video(video, 40), torch.stack([F.jpeg_image(frame, 40) for frame in video]), "jpeg_video")


def test_aliases() -> None:
    for name, other in {
        "hflip": "horizontal_flip",
        "vflip": "vertical_flip",
        "to_grayscale": "rgb_to_grayscale",
        "elastic_transform": "elastic",
        "get_image_num_channels": "get_num_channels",
    }.items():
        assert getattr(F, name) is getattr(F, other)


def test_a_record_may_name_the_functionals_and_nothing_else() -> None:
    named = {name for name in F.__all__ if isinstance(getattr(F, name), Functional) and name in FUNCTIONALS}
    assert {"crop", "resize", "normalize", "to_dtype"} <= named
    assert "get_size" not in named


class Bloom(tv_tensors.TVTensor):
    """A kind of one's own."""


def test_a_kind_of_ones_own_has_kernels_of_its_own() -> None:
    bloom = torch.zeros(3, 4, 6).as_subclass(Bloom)
    with pytest.raises(TypeError, match="get_size does not act on Bloom"):
        F.get_size(bloom)
    F.register_kernel(F.get_size, Bloom)(lambda inpt: [1, 2])
    assert F.get_size(bloom) == [1, 2]
    assert F.get_size(tv_tensors.Image(make_image((5, 7)))) == [5, 7]


def test_conversions() -> None:
    picture = make_picture(size=(5, 7))
    assert isinstance(F.to_pil_image(F.to_image(picture)), Picture.Image)
    assert F.to_pil_image(F.to_image(picture)).tobytes() == picture.tobytes()
    assert_same(F.pil_to_tensor(picture), tv_functional.pil_to_tensor(picture), "pil_to_tensor")
    image = theirs.Image(make_image((5, 7)))
    assert type(F.to_dtype(image, torch.float32, True)) is theirs.Image
