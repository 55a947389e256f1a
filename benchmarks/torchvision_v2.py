"""torchvision, imported so that it works with any build of torch: what results and speed are compared with."""

import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

# torchvision's import looks two operators up that its compiled library defines. That library needs torch's CUDA build.
_torchvision = find_spec("torchvision")
assert _torchvision is not None
assert _torchvision.origin is not None
try:
    torch.ops.load_library(Path(_torchvision.origin).with_name("_C.so"))
except OSError:
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchvision warns that its image extension did not load: not needed here
    import torchvision
    from torchvision import tv_tensors
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as tv_functional

__all__ = ["torchvision", "tv_functional", "tv_tensors", "v2"]
