"""The page on serving keeps its word: its curl lines work as pasted, and the tables name every part and setting."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from augserve.wire import read_archive
from augserve_server.settings import Settings
from augserve_server.uploads import Grammar
from serving import run_server

ROOT = Path(__file__).parents[2]
SERVING = (ROOT / "docs/serving.md").read_text()
INPUTS = (ROOT / "docs/inputs.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every line of the page was run, one block after another."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "configs").symlink_to(ROOT / "configs")
    blocks = re.findall(r"^```sh\n(.*?)^```", SERVING, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with run_server() as live:
        for block in blocks:
            script = block.replace(ADDRESS, live.url).replace("curl ", "curl --fail --silent ")
            done = subprocess.run(
                ["bash", "-euc", script], cwd=folder, env=environment, check=True, capture_output=True
            )
            with (folder / "printed").open("ab") as printed:
                printed.write(done.stdout)
    return folder


def test_bytes_are_finished_to_the_floats(written: Path) -> None:
    assert (written / "printed").read_text() == "True\n"
    assert np.load(written / "bytes.npy").nbytes == 150_528
    assert np.load(written / "floats.npy").nbytes == 602_112
    assert "150,528 bytes then; it is 602,112 as float32" in SERVING


def test_targets_come_back_beside_their_image(written: Path) -> None:
    parts = (written / "parts.multipart").read_bytes()
    assert re.findall(rb'name="(\w+)"', parts) == [b"image", b"boxes", b"keypoints", b"labels"]
    tensors = read_archive((written / "segmentation.safetensors").read_bytes()).tensors
    assert (tensors["image"].shape, tensors["masks"].shape) == ((3, 480, 480), (480, 480))
    assert set(np.unique(tensors["masks"].to_numpy())) <= {0, 1, 2, 3, 255}


def test_a_clip_comes_back_whole(written: Path) -> None:
    tensors = read_archive((written / "clip.safetensors").read_bytes()).tensors
    assert tensors["image"].shape == (16, 3, 112, 112)


def test_mixed_labels_come_back_as_shares(written: Path) -> None:
    assert (written / "mixed.multipart").read_bytes().count(b'"labels":{"dtype":"F32","shape":[1000]') == 2


def test_a_replay_gives_the_same_pixels(written: Path) -> None:
    first, again = (read_archive((written / f"{name}.safetensors").read_bytes()) for name in ("result", "again"))
    assert bytes(again.tensors["image"].data) == bytes(first.tensors["image"].data)
    assert b'name="masks"' in (written / "mask.multipart").read_bytes()


def test_every_part_of_a_form_is_on_the_page() -> None:
    assert [name for name in Grammar(replay=True).names if f"`{name}`" not in SERVING] == []


def test_the_limits_on_the_page_are_the_defaults() -> None:
    for name in ("max_clip_frames", "clip_timeout_s", "max_target_rows"):
        assert f"(`{name}`) | {Settings.model_fields[name].default:,g} |" in INPUTS


def test_every_test_that_the_page_on_security_names_is_there() -> None:
    page = (ROOT / "docs/security.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", page)
    assert len(named) == page.count("::test_")
    assert len(named) > 60
    missing = [(file, name) for file, name in named if f"def {name}(" not in (ROOT / "tests" / file).read_text()]
    assert not missing


OTHERS = ("tokens", "clip_timeout_s", "worker_timeout_s")


def test_the_page_on_security_names_every_setting_of_who_may_come_in() -> None:
    page = (ROOT / "docs/security.md").read_text()
    words = ("tokens", "open_", "tls_", "timeout", "connections", "per_s", "keep_alive")
    names = [name for name in Settings.model_fields if any(word in name for word in words)]
    assert [name for name in names if f"`{name}`" not in page and name not in OTHERS] == []
