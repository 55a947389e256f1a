"""What transforms of one's own ask their inputs, against torchvision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch.utils import _pytree as pytree

from augserve_pipelines import transforms, tv_tensors
from augserve_pipelines.dispatch import is_pure_tensor
from factories import make_picture
from oracle import tv_functional, v2
from oracle import tv_tensors as theirs
from pipelines.targets import as_ours, make_structure, make_video_structure

STRUCTURES = (
    make_structure(),
    make_video_structure(),
    {"image": make_picture(size=(4, 6)), "mask": theirs.Mask(torch.zeros(4, 6))},
    {"tensor": torch.zeros(3, 5, 7)},
    {"numbers": 3, "array": np.zeros(3)},
    {"picture": make_picture(size=(4, 6)), "image": theirs.Image(torch.zeros(1, 4, 6))},
)
KINDS = ("Image", "Video", "Mask", "BoundingBoxes", "KeyPoints", "TVTensor")


def leaves(structure: Any) -> list[Any]:
    return pytree.tree_leaves({key: one for key, one in structure.items() if key != "labels"})


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("query", ["query_chw", "query_size", "get_bounding_boxes", "get_keypoints"])
def test_queries(query: str, structure: Any) -> None:
    ours, oracle = getattr(transforms, query), getattr(v2, query)
    flat = leaves(structure)
    try:
        expected = oracle(flat)
    except (TypeError, ValueError) as error:
        for own in (flat, leaves(as_ours(structure))):
            with pytest.raises(type(error)):
                ours(own)
        return
    actual = ours(flat)
    assert actual is expected or actual == expected
    own = leaves(as_ours(structure))
    assert type(ours(own)).__name__ == type(expected).__name__


@pytest.mark.parametrize("structure", STRUCTURES)
def test_types_and_checks(structure: Any) -> None:
    flat, own = leaves(structure), leaves(as_ours(structure))
    asked = [([getattr(theirs, name)], [getattr(tv_tensors, name)]) for name in KINDS]
    asked += [([one], [one]) for one in (torch.Tensor, Picture.Image, int)]
    asked += [([tv_functional.is_pure_tensor, theirs.Mask], [is_pure_tensor, tv_tensors.Mask])]
    for oracles, ours in asked:
        expected = [v2.check_type(leaf, oracles) for leaf in flat]
        for given, types in ((flat, oracles), (flat, ours), (own, ours)):
            if types is oracles and tv_functional.is_pure_tensor in types:
                continue
            assert [transforms.check_type(leaf, types) for leaf in given] == expected
            assert transforms.has_any(given, *types) == v2.has_any(flat, *oracles)
            assert transforms.has_all(given, *types) == v2.has_all(flat, *oracles)
    assert not transforms.has_any(flat)
    assert transforms.has_all(flat)
