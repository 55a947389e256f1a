"""Kernels alone, on the device, against what its memory allows."""
