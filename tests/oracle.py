"""torchvision as the oracle: `from oracle import v2, tv_functional` works against a CPU-only torch."""

import torch

# torchvision's import looks these two operators up; its compiled library, which defines them, needs a CUDA torch.
_library = torch.library.Library("torchvision", "DEF")
_library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import warnings  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchvision warns that its image extension did not load: not needed here
    import torchvision
    from torchvision import tv_tensors
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as tv_functional

__all__ = ["torchvision", "tv_functional", "tv_tensors", "v2"]
