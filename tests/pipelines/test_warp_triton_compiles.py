"""The kernels of warps compile for CUDA; no device is needed."""

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

from augserve_pipelines.kernels.warp_triton import warp_kernel

for kind, nearest in itertools.product(("affine", "perspective", "field"), (True, False)):
    for pixels, is_bytes, planes in (("*u8", True, 3), ("*fp32", False, 1)):
        constants = dict(MAP=kind, NEAREST=nearest, BYTES=is_bytes, PLANES=planes, NUMBERS=9, INTERPRETED=False,
                         BLOCK_Y=16, BLOCK_X=32)
        types = {name: "i32" for name in warp_kernel.arg_names}
        types |= {name: "*fp32" for name in types if name.endswith("_ptr")}
        types |= dict(image_ptr=pixels, out_ptr=pixels, sample_stride="i64", field_stride="i64")
        types |= {name: "constexpr" for name in constants}
        source = ASTSource(fn=warp_kernel, signature=types, constexprs=constants)
        target = GPUTarget("cuda", int(sys.argv[1]), 32)
        compiled = triton.compile(source, target=target, options={"enable_fp_fusion": False})
        assert len(compiled.asm["cubin"]) > 1000
        text = compiled.asm["ptx"]
        assert nearest or "fma.rn.f32" in text
        assert "div.full.f32" not in text
print("compiled")
"""


@pytest.mark.parametrize("capability", [80, 90])
def test_every_warp_compiles(capability: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", PROGRAM, str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "compiled"
