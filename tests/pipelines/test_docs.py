"""What docs/targets.md shows runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from oracle import v2  # so that torchvision can be imported by what the page shows

PAGE = Path(__file__).parents[2] / "docs/targets.md"


def test_the_page_on_targets_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert torch.equal(names["again"]["image"], names["record"].replay(names["image"]))
    assert names["mixed"][0][1].shape == (10,)
    assert isinstance(names["compose"], v2.Compose)
