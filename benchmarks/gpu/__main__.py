"""``python -m benchmarks.gpu``: what needs a CUDA device; takes the options of ``python -m benchmarks``."""

from __future__ import annotations

import sys

from benchmarks.__main__ import main

if __name__ == "__main__":
    main(["--only", "gpu", *sys.argv[1:]], "python -m benchmarks")
