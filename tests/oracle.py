"""torchvision as the oracle: `from oracle import v2, tv_functional` works with any build of torch."""

from benchmarks.torchvision_v2 import torchvision, tv_functional, tv_tensors, v2

__all__ = ["torchvision", "tv_functional", "tv_tensors", "v2"]
