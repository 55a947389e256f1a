"""Kernels on CUDA, each beside what a user would otherwise run: ``python -m benchmarks --only gpu.kernels``."""
