from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "PIL", "fastapi", "starlette", "uvicorn", "yaml", "augserve_pipelines", "augserve_server")

WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import httpx
import numpy as np
import augserve
from augserve import wire
"""

AUGMENT = """
def answer(request):
    body = b"".join(wire.write_safetensors({"images": ("uint8", (3, 1, 2), memoryview(bytes(6)))}))
    headers = {"Content-Type": wire.SAFETENSORS, wire.COUNT_HEADER: "1", wire.SEED_HEADER: request.url.params["seed"]}
    return httpx.Response(200, headers=headers, content=body)

with augserve.Client(transport=httpx.MockTransport(answer)) as client:
    print(client.augment("pipeline", np.zeros((2, 1, 3), np.uint8)).shape)
"""

ASK_FOR_TENSORS = """
with augserve.Client(transport=httpx.MockTransport(None)) as client:
    try:
        client.augment("pipeline", b"1", as_="torch")
    except ModuleNotFoundError as error:
        print(error)
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_client_imports_httpx_numpy_and_pydantic_and_nothing_else() -> None:
    loaded = run("import augserve, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))").split()
    assert not set(HEAVY) & set(loaded)


def test_the_client_works_where_nothing_else_is_installed() -> None:
    assert run(WITHOUT + AUGMENT) == "(3, 1, 2)"


def test_asking_for_tensors_without_torch_says_what_to_install() -> None:
    assert run(WITHOUT + ASK_FOR_TENSORS) == "'torch' is not installed: pip install 'augserve[pipelines]'"


@pytest.mark.parametrize("module", ["torch", "PIL", "yaml", "fastapi"])
def test_only_the_package_for_torch_imports_it(module: str) -> None:
    package = Path(__import__("augserve").__file__).parent
    importing = {
        path.parent.name
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith((f"import {module}", f"from {module}"))
    }
    assert importing == ({"torch"} if module == "torch" else set())
