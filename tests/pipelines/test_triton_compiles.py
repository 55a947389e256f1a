"""Every Triton kernel compiles for the GPUs that we name, on a machine that has none.

A new kernel is a row in :data:`KERNELS`; a case of it is a signature and the values of its constants.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from json import dumps
from pathlib import Path

import pytest

pytest.importorskip("triton")

CAPABILITIES = (80, 90)

# Kernels are defined for the interpreter in this process; in another one Triton compiles them, which needs no device.
COMPILE = """
import importlib, json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

for kernel in json.loads(sys.argv[1]):
    function = getattr(importlib.import_module(kernel["module"]), kernel["name"])
    signature = kernel["signature"] | {name: "constexpr" for name in kernel["constants"]}
    source = ASTSource(fn=function, signature=signature, constexprs=kernel["constants"])
    for capability in json.loads(sys.argv[2]):
        options = {"num_warps": kernel["num_warps"], "enable_fp_fusion": False}
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        assert compiled.asm["cubin"], kernel
        print(kernel["name"], capability)
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel and the types and constants that it is compiled for."""

    module: str
    name: str
    signature: dict[str, str]
    constants: dict[str, int | float | bool] = field(default_factory=dict)
    num_warps: int = 4


def resample(values: str, **constants: int | bool) -> Kernel:
    pointers = {"rows_ptr": "*i64", "taps_ptr": "*i32", "values_ptr": values, "out_ptr": values}
    blocks = {"FIELDS": 21, "BLOCK_SECOND": 16, "BLOCK_FIRST": 32}
    module = "augserve_pipelines.kernels.resample_triton"
    return Kernel(module, "resample_kernel", {**pointers, "tiles": "i32"}, {**blocks, **constants})


def lookup(values: str) -> Kernel:
    pointers = {"x_ptr": "*u8", "values_ptr": values, "out_ptr": values}
    numbers = dict.fromkeys(("pixels", "blocks", "channels", "sample_planes"), "i32")
    module = "augserve_pipelines.kernels.resample_triton"
    return Kernel(module, "lookup_kernel", pointers | numbers, {"BLOCK": 1024})


KERNELS = {
    "resample to bytes": resample("*u8", CHANNELS=3, SIDE_BY_SIDE=True, TABLES=False),
    "resample planes": resample("*bf16", CHANNELS=3, SIDE_BY_SIDE=False, TABLES=True),
    "resample to float16": resample("*fp16", CHANNELS=3, SIDE_BY_SIDE=True, TABLES=True),
    "resample gray": resample("*fp32", CHANNELS=1, SIDE_BY_SIDE=True, TABLES=True),
    "resample four channels": resample("*u8", CHANNELS=4, SIDE_BY_SIDE=True, TABLES=True),
    "lookup float16": lookup("*fp16"),
    "lookup bfloat16": lookup("*bf16"),
}


def test_every_kernel_compiles(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, dumps([asdict(kernel) for kernel in KERNELS.values()]), dumps(CAPABILITIES)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(KERNELS) * len(CAPABILITIES)
