"""A transform is added by one file: exports, YAML, the reference and the schema follow by themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("pipelines", "server", "client", "configs", "scripts", "docs")

ADDED = '''"""Show every other row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from augserve_pipelines.dispatch import Call, functional
from augserve_pipelines.frames import Frames
from augserve_pipelines.lanes import Lanes
from augserve_pipelines.ops import Op
from augserve_pipelines.parameters import Probability
from augserve_pipelines.transforms.base import RandomTransform


def interlace_image(image: Tensor) -> Tensor:
    """Blacken every other row of ``[..., C, H, W]``."""
    interlaced = image.clone()
    interlaced[..., 1::2, :] = 0
    return interlaced


@functional(image=interlace_image)
def interlace(inpt: Any) -> Any:
    """Blacken every other row."""


@dataclass(frozen=True, slots=True)
class Interlace(Op):
    """Blacken every other row."""

    def image(self, x: Tensor) -> Tensor:
        return interlace_image(x)

    def calls(self) -> Iterator[Call]:
        yield Call(interlace)


class RandomInterlace(RandomTransform):
    """Blacken every other row with probability ``p``.

    Draws: one number for ``p``.

    Args:
        p: probability of it.
    """

    def __init__(self, p: Probability = 0.5) -> None:
        super().__init__()
        self.p = p

    def draw_fired(self, lanes: Lanes, frames: Frames) -> Op:
        return Interlace()
'''

USED = """
import torch
from augserve_pipelines import Pipeline, Record, tv_tensors
from augserve_pipelines.definition import loads

image = torch.full((3, 4, 4), 9, dtype=torch.uint8)
sample = {"image": tv_tensors.Image(image), "mask": tv_tensors.Mask(torch.ones(4, 4))}
pipeline = Pipeline(loads("transforms: [{RandomInterlace: {p: 1.0}}]", "x").transforms)
(result,) = results = pipeline([sample], [0], records=True)
assert result["image"].sum() == 3 * 2 * 4 * 9
assert result["mask"].sum() == 16
again = Record.from_json(results.records[0].to_json()).replay(image)
assert torch.equal(again, result["image"].as_subclass(torch.Tensor))
"""


def test_one_new_file_is_a_transform(tmp_path: Path) -> None:
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipelines/augserve_pipelines/transforms/interlace.py").write_text(ADDED)
    _run(tmp_path, "-m", "scripts.generate")
    assert "## RandomInterlace" in (tmp_path / "docs/transforms.md").read_text()
    assert '"RandomInterlace"' in (tmp_path / "configs/pipeline.schema.json").read_text()
    _run(tmp_path, "-c", USED)


def _run(folder: Path, *arguments: str) -> None:
    paths = [folder / name for name in ("pipelines", "server", "client")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, folder]))}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True)
