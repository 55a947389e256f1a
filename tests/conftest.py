"""Settings of every test run: one thread for torch in each worker, and property tests that repeat."""

import os

import hypothesis
import torch

if not torch.cuda.is_available():  # kernels are defined for Triton's interpreter, which runs them on the CPU
    os.environ.setdefault("TRITON_INTERPRET", "1")

# pytest-xdist runs one worker a core; two OpenMP threads inside one small operation are many times slower.
torch.set_num_threads(1)

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("ci")
