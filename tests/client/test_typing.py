from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_a_strict_type_checker_knows_what_calls_give() -> None:
    command = [sys.executable, "-m", "mypy", str(HERE / "typed.py")]
    checked = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
