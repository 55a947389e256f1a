"""The kernels of warps and blurs compile for CUDA; no device is needed."""

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

from augserve_pipelines.kernels.blur_triton import blur_kernel
from augserve_pipelines.kernels.warp_triton import warp_kernel

PIXELS = (("*u8", True), ("*fp32", False))


def compiled(kernel, pixels, warps=4, **constants):
    types = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in kernel.arg_names}
    types |= dict(image_ptr=pixels, out_ptr=pixels, sample_stride="i64") | dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=types, constexprs=constants)
    options = {"enable_fp_fusion": False, "num_warps": warps}
    done = triton.compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32), options=options)
    assert len(done.asm["cubin"]) > 1000
    return done.asm["ptx"]


for kind, nearest, (pixels, is_bytes) in itertools.product(("affine", "perspective", "field"), (True, False), PIXELS):
    shared = dict(NUMBERS=9, INTERPRETED=False, BLOCK_Y=16, BLOCK_X=32)
    text = compiled(warp_kernel, pixels, MAP=kind, NEAREST=nearest, BYTES=is_bytes, PLANES=3, **shared)
    assert "fma.rn.f32" in text
    assert "div.full.f32" not in text
for pixels, is_bytes in PIXELS:
    text = compiled(blur_kernel, pixels, 1, MARGINS=2, BYTES=is_bytes, INTERPRETED=False, ROWS=8, COLUMNS=64)
    assert "fma.rn.f32" in text
print("compiled")
"""


@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles(capability: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", PROGRAM, str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "compiled"
