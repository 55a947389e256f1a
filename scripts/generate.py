"""Writes what is generated from the transforms' signatures and docstrings, from the settings, and from the metrics.

With ``--check`` it writes nothing; it fails, and names them, where some are stale.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from scripts.exports import exports
from scripts.metrics_table import with_table

from augserve_pipelines.reference import reference_page
from augserve_pipelines.schema import pipeline_schema
from augserve_server.settings import settings_yaml

ROOT = Path(__file__).resolve().parent.parent
EXPORTS = ROOT / "pipelines/augserve_pipelines/transforms/__init__.py"


def generated() -> dict[Path, str]:
    """The text of every generated file."""
    operating = ROOT / "docs/operating.md"
    return {
        **({operating: with_table(operating.read_text())} if operating.exists() else {}),
        ROOT / "configs/pipeline.schema.json": json.dumps(pipeline_schema(), indent=2) + "\n",
        ROOT / "configs/server.yaml": settings_yaml(),
        ROOT / "docs/transforms.md": reference_page(),
        EXPORTS: exports(),
    }


def stale() -> dict[Path, str]:
    """The generated files that differ from what they should be."""
    return {path: text for path, text in generated().items() if not path.exists() or path.read_text() != text}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the files generated from transforms and settings.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is stale")
    check = parser.parse_args(arguments).check
    if not check and EXPORTS in (changed := stale()):
        EXPORTS.write_text(changed[EXPORTS])
        print(f"wrote {EXPORTS.relative_to(ROOT)}")
        again = [sys.executable, "-m", "scripts.generate"]
        os.execv(sys.executable, again)  # the other files are made of what it exports now
    for path, text in stale().items():
        name = path.relative_to(ROOT)
        if not check:
            path.write_text(text)
        print(f"{name} is stale: run 'python -m scripts.generate'" if check else f"wrote {name}")
    return int(check and bool(stale()))


if __name__ == "__main__":
    sys.exit(main())
