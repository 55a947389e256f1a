"""A transformer as KServe places it: in front of a predictor, with augserve doing the preprocessing.

    make serve
    python examples/kserve_transformer.py --predictor http://localhost:9000 --model resnet50
    # and clients ask http://localhost:8080/v2/models/resnet50/infer, with encoded images in the input IMAGE

A request of the Open Inference Protocol comes with encoded images; augserve makes one tensor of them, whatever their
sizes; the predictor is asked with that tensor, and what it says is the answer. The images and the tensor are passed on
as they came: nothing is decoded here, and nothing is written as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

HEAD_LENGTH = "Inference-Header-Content-Length"
BINARY_OUTPUT = "binary_data_output"
PIXELS = {"name": "PIXELS", "parameters": {"binary_data": True}}
LARGEST_BODY = 64 * 1024 * 1024


class UpstreamError(Exception):
    """One of the two services has refused; its answer goes to the client as it is."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


@dataclass(frozen=True)
class Transformer:
    """The two services, and what they are asked for."""

    augserve: str
    pipeline: str
    predictor: str
    input_name: str
    http: httpx.AsyncClient

    async def infer(self, model: str, body: bytes, head_length: int) -> httpx.Response:
        """The predictor's answer to a request with encoded images, ``head_length`` bytes of which are JSON."""
        asked = json.loads(body[:head_length])
        parameters = asked.get("parameters", {})
        for_pixels = {"inputs": asked["inputs"], "parameters": parameters, "outputs": [PIXELS]}
        made = await self._ask(f"{self.augserve}/v2/models/{self.pipeline}/infer", for_pixels, body[head_length:])
        for_scores = {name: asked[name] for name in ("id", "outputs") if name in asked}
        for_scores["parameters"] = {BINARY_OUTPUT: parameters.get(BINARY_OUTPUT, False)}
        for_scores["inputs"], tensor = self.predictor_input(made)
        return await self._ask(f"{self.predictor}/v2/models/{model}/infer", for_scores, tensor)

    def predictor_input(self, made: httpx.Response) -> tuple[list[Any], bytes]:
        """The pixels of augserve's response, its only output, as the predictor's input."""
        head_length = int(made.headers[HEAD_LENGTH])
        (pixels,) = json.loads(made.content[:head_length])["outputs"]
        return [{**pixels, "name": self.input_name}], made.content[head_length:]

    async def ready(self) -> bool:
        """Whether both services are."""
        answers = [await self.http.get(f"{url}/v2/health/ready") for url in (self.augserve, self.predictor)]
        return all(answer.status_code == 200 for answer in answers)

    async def _ask(self, url: str, head: dict[str, Any], blobs: bytes) -> httpx.Response:
        text = json.dumps(head).encode()
        response = await self.http.post(url, content=text + blobs, headers={HEAD_LENGTH: str(len(text))})
        if response.status_code != 200:
            raise UpstreamError(response)
        return response


def create_app(augserve: str, pipeline: str, predictor: str, input_name: str) -> Starlette:
    """The transformer as an ASGI app."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=60) as http:
            app.state.transformer = Transformer(augserve, pipeline, predictor, input_name, http)
            yield

    async def infer(request: Request) -> Response:
        if int(request.headers.get("content-length", LARGEST_BODY + 1)) > LARGEST_BODY:
            return JSONResponse({"error": f"send Content-Length, and at most {LARGEST_BODY} bytes"}, 413)
        body = await request.body()
        try:
            head_length = int(request.headers.get(HEAD_LENGTH, len(body)))
            answer = await request.app.state.transformer.infer(request.path_params["model"], body, head_length)
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "this is no request with inputs, as JSON with bytes behind it"}, 400)
        except UpstreamError as exc:
            answer = exc.response
        except httpx.TransportError as exc:
            return JSONResponse({"error": f"a service behind this one cannot be reached: {type(exc).__name__}"}, 503)
        passed_on = {name: answer.headers[name] for name in ("Content-Type", HEAD_LENGTH) if name in answer.headers}
        return Response(answer.content, answer.status_code, passed_on)

    async def live(request: Request) -> Response:
        return Response()

    async def ready(request: Request) -> Response:
        return Response(status_code=200 if await request.app.state.transformer.ready() else 503)

    routes = [
        Route("/v2/models/{model}/infer", infer, methods=["POST"]),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--augserve", default="http://localhost:8000")
    parser.add_argument("--pipeline", default="imagenet_eval", help="what makes the predictor's tensor of an image")
    parser.add_argument("--predictor", required=True, help="address of a server of the Open Inference Protocol")
    parser.add_argument("--input", default="input", help="what the predictor calls its tensor")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    app = create_app(given.augserve, given.pipeline, given.predictor, given.input)
    uvicorn.run(app, host=given.host, port=given.port)


if __name__ == "__main__":
    main()
