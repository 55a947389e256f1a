"""`augserve serve` as a user starts it: what it prints works as pasted, and mistakes are said plainly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SERVE = [sys.executable, "-m", "augserve_server", "serve"]


def test_the_printed_curl_line_works_as_pasted_and_sigterm_ends_the_server(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*SERVE, "--port", "0", "--device", "cpu"], cwd="/", stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = next(line for line in server.stdout if line.startswith("try: curl "))
            subprocess.run(line.removeprefix("try: "), shell=True, cwd=tmp_path, check=True, capture_output=True)
            with Image.open(tmp_path / "augmented.jpg") as picture:
                assert picture.format == "JPEG"
                assert min(picture.size) >= 128
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=30) == 0
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--port", "99999"], {}, "--port: 99999 is refused"),
        (["--pipelines", "/nowhere"], {}, "there is no folder '/nowhere' of pipelines"),
        ([], {"AUGSERVE_PROT": "1"}, "there is no setting 'AUGSERVE_PROT'; did you mean 'AUGSERVE_PORT'?"),
    ],
)
def test_a_server_that_cannot_start_says_why(arguments: list[str], environment: dict[str, str], message: str) -> None:
    done = subprocess.run([*SERVE, *arguments], env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_to_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*SERVE, "--port", port], capture_output=True, text=True)
    assert done.returncode == 2
    assert port in done.stderr
    assert "Traceback" not in done.stderr
