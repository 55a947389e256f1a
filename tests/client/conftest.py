"""The real service on a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from augserve_server.settings import shipped_configs
from serving import run_server

PIPELINES = {
    "as_it_is": "transforms: [Identity]",
    "as_gray": "{input: {mode: L}, transforms: [Identity]}",
    "needs_100": "transforms: [{RandomCrop: {size: 100}}]",
    "train": """
transforms:
  - RandomResizedCrop: {size: 64}
  - RandomHorizontalFlip
  - RandomRotation: {degrees: 30}
  - ToDtype: {dtype: float32, scale: true}
  - Normalize: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
""",
}


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pipelines: those of the tests, and some that ship."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name, text in PIPELINES.items():
        (folder / f"{name}.yaml").write_text(text)
    for name in ("detection", "imagenet_train", "segmentation", "thumbnail", "video"):
        (folder / f"{name}.yaml").write_text((shipped_configs() / "pipelines" / f"{name}.yaml").read_text())
    return folder


@pytest.fixture(scope="session")
def address(pipelines: Path) -> Iterator[str]:
    """Where the service is: http://127.0.0.1:12345."""
    with run_server(pipelines=pipelines, decode_threads=2, encode_threads=2) as live:
        yield live.url
