"""Kernels on CUDA, one module for each family of them."""
