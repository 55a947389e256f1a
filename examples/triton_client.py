"""Augment photographs with a stock Triton client, over HTTP and over gRPC: nothing of augserve is imported.

    make serve GRPC_PORT=8001
    pip install 'tritonclient[http,grpc]'
    python examples/triton_client.py configs/samples/*.jpg

The answers travel as bytes, a quarter of the floats that the pipeline ends in, and are made floats here; each image's
label goes with it. Both ways give the same bytes, for the same seed always.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http


def augment(
    triton: ModuleType, client: Any, pipeline: str, files: list[bytes], labels: list[int], seed: int
) -> tuple[np.ndarray, list[int]]:
    """Float pixels [N, C, H, W] of encoded images, and their labels. ``triton``: tritonclient's ``http`` or ``grpc``.

    Image i is augmented under ``seed + i``, wherever and in whatever batch that happens.
    """
    images = triton.InferInput("IMAGE", [len(files)], "BYTES")
    images.set_data_from_numpy(np.array(files, dtype=object))
    classes = triton.InferInput("LABELS", [len(labels)], "BYTES")
    classes.set_data_from_numpy(np.array([str(label).encode() for label in labels], dtype=object))
    outputs = [triton.InferRequestedOutput(name) for name in ("PIXELS", "LABELS")]
    parameters = {"seed": seed, "wire": "uint8"}
    result = client.infer(pipeline, [images, classes], outputs=outputs, parameters=parameters)
    pixels = finished(result.as_numpy("PIXELS"), response_parameter(result, "finish"))
    return pixels, [json.loads(label)["data"] for label in result.as_numpy("LABELS")]


def finished(pixels: np.ndarray, finish: str) -> np.ndarray:
    """The floats that bytes [N, C, H, W] stand for: ``finish`` says by which steps; without it, they are the result."""
    if not finish:
        return pixels
    steps = json.loads(finish)
    floats = pixels.astype(steps["dtype"])
    floats *= floats.dtype.type(steps["scale"])
    if steps["mean"] is not None:
        floats -= np.array(steps["mean"], floats.dtype).reshape(-1, 1, 1)
    if steps["std"] is not None:
        floats /= np.array(steps["std"], floats.dtype).reshape(-1, 1, 1)
    return floats


def response_parameter(result: Any, name: str) -> str:
    """What the response says beside its tensors, or nothing: HTTP's is JSON, gRPC's a message."""
    response = result.get_response()
    if isinstance(response, dict):
        return response["parameters"].get(name, "")
    return response.parameters[name].string_param


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--http", default="localhost:8000", help="host:port of augserve")
    parser.add_argument("--grpc", default="localhost:8001", help="host:port of its gRPC")
    parser.add_argument("--pipeline", default="imagenet_train")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    files = [path.read_bytes() for path in given.images]
    labels = list(range(len(files)))
    answers = []
    for triton, url in ((tritonclient.http, given.http), (tritonclient.grpc, given.grpc)):
        with triton.InferenceServerClient(url) as client:
            pixels, classes = augment(triton, client, given.pipeline, files, labels, given.seed)
        print(f"{triton.__name__}: {pixels.dtype} {list(pixels.shape)}, labels {classes}, mean {pixels.mean():.4f}")
        answers.append(pixels)
    print("the same" if np.array_equal(*answers) else "not the same")


if __name__ == "__main__":
    main()
