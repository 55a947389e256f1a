"""The kernels of colours compile for CUDA; no device is needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

PROGRAM = """
import itertools
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from augserve_pipelines.kernels.color_triton import levels_kernel, segment_kernel

TYPES = {"jobs": "*i64", "codes": "*i32", "factors": "*fp32", "levels": "*u8", "statistics": "*i32"}


def compiled(kernel, warps, **constants):
    types = {name: TYPES.get(name, "constexpr") for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=types, constexprs=constants)
    options = {"enable_fp_fusion": False, "num_warps": warps}
    done = triton.compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32), options=options)
    assert len(done.asm["cubin"]) > 1000
    assert "fma.rn.f32" in done.asm["ptx"]
    assert "div.full.f32" not in done.asm["ptx"]


for channels, flat in itertools.product((1, 3), (True, False)):
    compiled(segment_kernel, 8, CHANNELS=channels, FLAT=flat, NATIVE=True, PERIOD=32, BLOCK=1024)
for channels in (1, 3):
    compiled(levels_kernel, 4, CHANNELS=channels, NATIVE=True, LANES=8)
print("compiled")
"""


@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles(capability: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", PROGRAM, str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "compiled"
