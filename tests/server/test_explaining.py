"""What runs for a batch, as the service and the command line tell it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from typer.testing import CliRunner

from augserve_pipelines import Pipeline, explain
from augserve_server.cli import app
from augserve_server.explanation_text import size_of
from augserve_server.explanations import Explained
from augserve_server.settings import shipped_configs
from serving import Live, run_server

NAMES = sorted(path.stem for path in (shipped_configs() / "pipelines").glob("*.yaml"))
CROP = "transforms:\n  - RandomCrop: {size: 320}\n  - RandomVerticalFlip\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("pipelines")
    (folder / "crop.yaml").write_text(CROP)
    (folder / "simclr.yaml").symlink_to(shipped_configs() / "pipelines/simclr.yaml")
    with run_server(pipelines=folder, batch_images=16, batch_megapixels=4.0, max_image_side=5000) as server:
        yield server


def expected(name: str, size: tuple[int, int], count: int) -> dict[str, Any]:
    found = explain(Pipeline.load(shipped_configs() / f"pipelines/{name}.yaml"), size, count)
    return Explained.model_validate(found).model_dump(mode="json")


def test_a_description_explains_only_where_it_is_asked_to(client: httpx.Client) -> None:
    plain = client.get("/v1/pipelines/simclr").json()
    assert (plain["explanation"], plain["unexplained"]) == (None, None)
    asked = client.get("/v1/pipelines/simclr", params={"explain": "true"}).json()
    assert asked == {**plain, "explanation": expected("simclr", (375, 500), 16)}


def test_the_size_may_be_chosen_and_the_batch_is_as_large_as_the_service_makes_it(client: httpx.Client) -> None:
    query = {"explain": "true", "height": "1000", "width": "2000"}
    found = client.get("/v1/pipelines/simclr", params=query).json()["explanation"]
    assert found == expected("simclr", (1000, 2000), 2)  # of 2 megapixels each, of 4 in a batch


def test_a_pipeline_that_refuses_the_size_says_why(client: httpx.Client) -> None:
    found = client.get("/v1/pipelines/crop", params={"explain": "true", "height": "300"}).json()
    assert found["explanation"] is None
    assert "320 x 320" in found["unexplained"]
    found = client.get("/v1/pipelines/crop", params={"explain": "true", "height": "320"}).json()
    assert [step["name"] for step in found["explanation"]["steps"]] == ["CropIfSmaller", "FlipY"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"height": "0"}, "height"),
        ({"height": "5001"}, "height"),
        ({"width": "5001"}, "width"),
        ({"width": "wide"}, "width"),
        ({"explain": "perhaps"}, "explain"),
        ({"explane": "true"}, "explane"),
    ],
)
def test_what_cannot_be_asked_is_refused(client: httpx.Client, query: dict[str, str], field: str) -> None:
    response = client.get("/v1/pipelines/simclr", params={"explain": "true", **query})
    assert response.status_code == 400
    assert field in response.json()["detail"]


def test_the_pixels_of_an_image_are_limited_too() -> None:
    with run_server(max_image_pixels=1_000_000) as live:
        response = httpx.get(f"{live.url}/v1/pipelines/simclr?explain=true&height=1000&width=1001")
    assert response.status_code == 400
    assert "1 to 1000" in response.json()["detail"]


def test_the_explanation_is_documented(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/pipelines/{name}"]["get"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert parameters.keys() == {"name", "explain", "height", "width"}
    assert all(parameter["description"] for parameter in parameters.values())
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer = client.get("/v1/pipelines/simclr", params={"explain": "true"}).json()
    jsonschema.validate(answer, {**schema, "components": document["components"]})


@pytest.mark.parametrize("name", NAMES)
def test_the_table_fits_a_terminal_and_says_what_it_is_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = CliRunner().invoke(app, ["explain", name])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{name}: 64 ")
    assert max(map(len, lines)) <= 100
    for word in ("operation", "fused from", "launches", "in all", "unfused", "gives "):
        assert word in done.stdout


def test_the_table_tells_shares_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "some.yaml").write_text("transforms:\n  - Resize: {size: [8, 8]}\n  - RandomHorizontalFlip\n")
    done = CliRunner().invoke(app, ["explain", str(tmp_path / "some.yaml"), "--height", "20", "--width", "30"])
    assert "64 images, 20 x 30 pixels, seeds 0 to 63" in done.stdout
    assert "of 64)" in done.stdout
    assert "1.8 kB" in done.stdout  # read
    assert "192 B" in done.stdout  # written


def test_json_is_what_the_service_says() -> None:
    size = ["--height", "100", "--width", "150", "--count", "8"]
    done = CliRunner().invoke(app, ["explain", "simclr", *size, "--json"])
    record = json.loads(done.stdout)
    assert record["name"] == "simclr"
    assert record["output"] == {"dtype": "float32", "channels": 3, "height": 224, "width": 224}
    assert record["explanation"] == expected("simclr", (100, 150), 8)


def test_a_pipeline_that_takes_no_such_images_is_a_mistake_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "crop.yaml").write_text(CROP)
    done = CliRunner().invoke(app, ["explain", str(tmp_path / "crop.yaml"), "--height", "300"])
    assert done.exit_code == 2
    assert "320 x 320" in done.stderr


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (562_500, "562.5 kB"), (999_950, "1.0 MB"), (1_000_000, "1.0 MB")],
)
def test_bytes_are_written_for_people(count: int, text: str) -> None:
    assert size_of(count) == text
