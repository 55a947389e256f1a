"""The page on the protocol keeps its word: its lines work as pasted, and its tables name all there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from augserve_server.grpc_service.calls import CODES
from augserve_server.oip.inputs import INPUTS
from augserve_server.oip.names import OUTPUTS
from augserve_server.oip.options import FORMATS, STANDARD, OnError, _fields
from augserve_server.routes import oip
from serving import Live, run_server

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/protocol.md").read_text()
ADDRESS, GRPC_ADDRESS = "127.0.0.1:8000", "127.0.0.1:8001"


def blocks(language: str, live: Live) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return "\n".join(found).replace(ADDRESS, live.url.removeprefix("http://")).replace(GRPC_ADDRESS, live.grpc_url)


def test_what_is_on_the_page_runs_as_pasted(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    with run_server(grpc_port=0, shared_memory=True) as live:
        script = blocks("sh", live).replace("curl ", "curl --fail --silent ")
        for command in (["bash", "-euc", script], [sys.executable, "-W", "ignore", "-c", blocks("python", live)]):
            done = subprocess.run(command, cwd=tmp_path, env=os.environ, check=True, capture_output=True, text=True)
    assert (tmp_path / "result.bin").read_bytes().startswith(b'{"model_name":"imagenet_train"')
    assert done.stdout.splitlines()[:2] == ["(2, 3, 224, 224) [0 0] 7", "(2, 3, 256, 256) [  0 415   0]"]
    assert "of no allowed format" in done.stdout.splitlines()[2]
    assert [float(line) for line in done.stdout.splitlines()[3:4]] == [pytest.approx(-0.0379, abs=1e-4)]
    assert done.stdout.splitlines()[4:] == ["True"]


@pytest.mark.parametrize(
    "names", [INPUTS, OUTPUTS, [*_fields(64)], FORMATS, [*OnError], [name for name in STANDARD if "binary" not in name]]
)
def test_every_name_is_on_the_page(names: list[str]) -> None:
    assert [name for name in names if f"`{name}`" not in PAGE] == []


def test_every_route_is_on_the_page() -> None:
    told = PAGE.replace("...", "/v2/repository/models/{name}").replace(".../", "/v2/models/{name}/")
    paths = [route.path for route in oip.routes() if "versions" not in route.path and "{repository}" not in route.path]
    assert [path for path in paths if path not in told and path.rpartition("/")[2] not in told] == []


def test_every_status_of_grpc_is_on_the_page() -> None:
    assert [code.name for code in CODES.values() if f"`{code.name}`" not in PAGE] == []
