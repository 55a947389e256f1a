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
    function = getattr(importlib.import_module("augserve_pipelines.kernels." + kernel["module"]), kernel["name"])
    types = {name: "*fp32" if name.endswith("_ptr") else "i32" for name in function.arg_names}
    signature = types | kernel["signature"] | {name: "constexpr" for name in kernel["constants"]}
    source = ASTSource(fn=function, signature=signature, constexprs=kernel["constants"])
    for capability in json.loads(sys.argv[2]):
        options = {"num_warps": kernel["num_warps"], "enable_fp_fusion": False}
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        assert compiled.asm["cubin"], kernel
        assert "div.full.f32" not in compiled.asm["ptx"], kernel  # which is not rounded as IEEE 754 says
        assert ("fma.rn.f32" in compiled.asm["ptx"]) == kernel["fuses"], kernel
        print(kernel["name"], capability)
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel and the types and constants that it is compiled for; types not named are float32 or its addresses.

    ``fuses`` is whether it has multiply-adds that are rounded once: nothing but the code as written may make them.
    """

    module: str
    name: str
    signature: dict[str, str]
    constants: dict[str, int | float | bool | str] = field(default_factory=dict)
    num_warps: int = 4
    fuses: bool = False


def resample(values: str, **constants: int | bool) -> Kernel:
    pointers = {"rows_ptr": "*i64", "taps_ptr": "*i32", "values_ptr": values, "out_ptr": values}
    blocks = {"FIELDS": 21, "BLOCK_SECOND": 2, "BLOCK_FIRST": 32}
    return Kernel("resample_triton", "resample_kernel", {**pointers, "tiles": "i32"}, {**blocks, **constants}, 1)


def lookup(values: str) -> Kernel:
    pointers = {"x_ptr": "*u8", "values_ptr": values, "out_ptr": values}
    numbers = dict.fromkeys(("pixels", "blocks", "channels", "sample_planes"), "i32")
    return Kernel("resample_triton", "lookup_kernel", pointers | numbers, {"BLOCK": 1024})


COLOR_TYPES = {"jobs": "*i64", "codes": "*i32", "factors": "*fp32", "levels": "*u8", "statistics": "*i32"}


def color(name: str, arguments: tuple[str, ...], num_warps: int, **constants: int | bool) -> Kernel:
    types = {argument: COLOR_TYPES[argument] for argument in arguments}
    return Kernel("color_triton", name, types, {"INTERPRETED": False, **constants}, num_warps, fuses=True)


LEVELS_ARGUMENTS = ("jobs", "factors", "statistics", "levels")


def segment(channels: int, flat: bool) -> Kernel:
    return color("segment_kernel", (*COLOR_TYPES,), 8, CHANNELS=channels, FLAT=flat, PERIOD=32, BLOCK=1024)


def levels(channels: int) -> Kernel:
    return color("levels_kernel", LEVELS_ARGUMENTS, 4, CHANNELS=channels, LANES=8)


def warp(kind: str, pixels: str, nearest: bool) -> Kernel:
    types = {"image_ptr": pixels, "out_ptr": pixels, "sample_stride": "i64"}
    blocks = {"NUMBERS": 9, "PLANES": 3, "BLOCK_Y": 16, "BLOCK_X": 32, "INTERPRETED": False}
    constants = {"MAP": kind, "NEAREST": nearest, "BYTES": pixels == "*u8", **blocks}
    return Kernel("warp_triton", "warp_kernel", types, constants, fuses=True)


def blur(pixels: str) -> Kernel:
    types = {"image_ptr": pixels, "out_ptr": pixels, "sample_stride": "i64"}
    blocks = {"MARGINS": 2, "ROWS": 8, "COLUMNS": 64, "INTERPRETED": False}
    return Kernel("blur_triton", "blur_kernel", types, {"BYTES": pixels == "*u8", **blocks}, 1, fuses=True)


KERNELS = {
    "resample to bytes": resample("*u8", CHANNELS=3, SIDE_BY_SIDE=True, TABLES=False),
    "resample planes": resample("*bf16", CHANNELS=3, SIDE_BY_SIDE=False, TABLES=True),
    "resample to float16": resample("*fp16", CHANNELS=3, SIDE_BY_SIDE=True, TABLES=True),
    "resample gray": resample("*fp32", CHANNELS=1, SIDE_BY_SIDE=True, TABLES=True),
    "resample four channels": resample("*u8", CHANNELS=4, SIDE_BY_SIDE=True, TABLES=True),
    "lookup float16": lookup("*fp16"),
    "lookup bfloat16": lookup("*bf16"),
    **{f"colors {channels} {flat}": segment(channels, flat) for channels in (1, 3) for flat in (True, False)},
    **{f"levels {channels}": levels(channels) for channels in (1, 3)},
    **{
        f"warp {kind} {pixels} {nearest}": warp(kind, pixels, nearest)
        for kind in ("affine", "perspective", "field")
        for pixels in ("*u8", "*fp32")
        for nearest in (True, False)
    },
    **{f"blur {pixels}": blur(pixels) for pixels in ("*u8", "*fp32")},
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
