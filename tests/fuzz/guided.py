"""Mutations that are led by coverage: what reaches new lines of our readers is kept and mutated on.

``python -m fuzz.guided TARGET [options of libFuzzer] FOLDER``: the folder keeps the inputs that were of interest.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from pathlib import Path
from time import process_time
from types import FunctionType, ModuleType

import atheris

from augserve_pipelines import definition, document

with atheris.instrument_imports(include=["augserve_server", "augserve.wire"]):
    from fuzz import images, oip_requests, pipelines
    from fuzz.child import LIMIT_S
    from fuzz.targets import TARGETS

SEEDS = {**images.corpus(), "bodies": [*map(oip_requests.make_body, range(40))], "pipelines": pipelines.corpus()}


def instrument(module: ModuleType) -> None:
    """Count what is reached in a module that is imported already: beside it lies code that numba must compile."""
    own = [found for found in vars(module).values() if getattr(found, "__module__", None) == module.__name__]
    for found in own:
        for function in vars(found).values() if inspect.isclass(found) else [found]:
            if isinstance(function, FunctionType):
                atheris.instrument_func(function)


def main(name: str, options: list[str]) -> None:
    warnings.simplefilter("ignore")
    for module in (document, definition):
        instrument(module)
    folder = Path(options[-1])
    folder.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(SEEDS[name]):
        Path(folder, f"seed-{index}").write_bytes(seed)
    with TARGETS[name].opened() as run:

        def once(data: bytes) -> None:
            began = process_time()
            run(data)
            if process_time() - began > LIMIT_S:
                raise TimeoutError(f"it took {process_time() - began:.1f} s of processor time")

        atheris.Setup([sys.argv[0], *options], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
