"""Kernels: plain functions over tensors, the truth of what the ops compute."""
