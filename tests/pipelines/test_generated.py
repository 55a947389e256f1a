"""The generated files: fresh, true to what loads, and complete."""

import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from augserve_pipelines import docstring
from augserve_pipelines.definition import loads
from augserve_pipelines.errors import InvalidPipeline
from augserve_pipelines.interchange import EXTENSIONS
from augserve_pipelines.reference import reference_page, yaml_example
from augserve_pipelines.registry import in_yaml, known_transforms, parameters
from augserve_pipelines.schema import pipeline_schema
from oracle import v2

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(known_transforms())
WRITABLE = [name for name in NAMES if in_yaml(known_transforms()[name])]


@pytest.fixture
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema.Draft202012Validator(pipeline_schema())


def test_the_generated_files_are_fresh(generate: ModuleType) -> None:
    assert generate.main(["--check"]) == 0, "run 'python -m scripts.generate'"


def test_the_page_says_what_each_transform_acts_on_and_draws() -> None:
    sections = dict(zip(NAMES, reference_page().split("\n## ")[1:], strict=True))
    assert all("\n*Acts on:* " in text and "\n*Draws:* " in text for text in sections.values())
    assert "*Acts on:* what its transforms act on." in sections["RandomApply"]
    assert "*Acts on:* nothing." in sections["Identity"]
    assert "PIL" not in sections["GaussianNoise"]
    assert "*Draws:* for each operation which" in sections["RandAugment"]


def test_a_stale_file_is_named_and_then_written(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/transforms.md").write_text(reference_page() + "edited by hand")
    assert generate.main(["--check"]) == 1
    assert "docs/transforms.md is stale: run 'python -m scripts.generate'" in capsys.readouterr().out
    assert not (tmp_path / "configs/pipeline.schema.json").exists()
    assert generate.main([]) == 0
    assert json.loads((tmp_path / "configs/pipeline.schema.json").read_text()) == pipeline_schema()
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_names_order_and_defaults_of_parameters_are_torchvisions(name: str) -> None:
    theirs = list(inspect.signature(getattr(v2, name).__init__).parameters.values())[1:]
    theirs = [parameter for parameter in theirs if parameter.kind is not parameter.VAR_POSITIONAL]
    ours = parameters(known_transforms()[name])
    assert [parameter.name for parameter in theirs] == [one for one in ours if (name, one) not in EXTENSIONS]
    for parameter in theirs:
        required = parameter.default is inspect.Parameter.empty
        own = ours[parameter.name]
        assert own.required is required
        assert required or own.check(parameter.default) == own.check(own.default)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_documented_and_nothing_else_is(name: str) -> None:
    kind = known_transforms()[name]
    text = docstring.parse(kind.__doc__)
    assert text.summary.endswith(".")
    declared = list(inspect.signature(kind.__init__).parameters)[1:]
    assert list(text.arguments) == (declared or list(parameters(kind)))
    assert all(text.arguments.values())


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("name", WRITABLE)
def test_the_example_on_the_page_loads_and_fits_the_schema(name: str, validator: Any) -> None:
    example = yaml_example(name)
    assert f"```yaml\n{example}\n```" in reference_page()
    text = f"transforms:\n{example}"
    *_, transform = loads(text, "example").transforms
    assert type(transform) is known_transforms()[name]
    validator.validate(yaml.safe_load(text))


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_all_yaml_on_the_page_loads() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", reference_page(), re.DOTALL)
    assert len(blocks) == len(WRITABLE) + 1
    for block in blocks:
        loads(block if "transforms:\n" in block else f"transforms:\n{block}", "page")


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(pipeline_schema())


@pytest.mark.parametrize(
    "text",
    [
        "transforms: [Identity]",
        "{description: x, parity: pillow, input: {mode: L, orientation: ignore, alpha: white}, transforms: [ToImage]}",
        "transforms:\n- RandomHorizontalFlip:",
        "transforms: [RandomApply: {transforms: [Identity, Compose: {transforms: [Resize: {size: 3}]}], p: 1}]",
        "transforms: [Resize: {size: null, max_size: 3, interpolation: nearest-exact}]",
        "transforms: [Pad: {padding: [1, 2], fill: {Tensor: [1, 2, 3], others: null}}]",
        "transforms: [ToDtype: {dtype: {others: uint8}}]",
    ],
)
def test_what_loads_fits_the_schema(text: str, validator: Any) -> None:
    loads(text, "x")
    validator.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "transforms: []",
        "transforms: Identity",
        "{transforms: [Identity], paritty: pillow}",
        "{transforms: [Identity], parity: PIL}",
        "{transforms: [Identity], input: {mode: RGBA}}",
        "{transforms: [Identity], input: {made: RGB}}",
        "transforms: [Identty]",
        "transforms: [Resize]",
        "transforms: [RandomTransform]",
        "transforms:\n- Resize:",
        "transforms: [{}]",
        "transforms: [{Identity: {}, ToImage: {}}]",
        "transforms: [Identity: {p: 1}]",
        "transforms: [RandomHorizontalFlip: {p: 1.5}]",
        "transforms: [RandomHorizontalFlip: {p: true}]",
        "transforms: [RandomHorizontalFlip: {p: '1'}]",
        "transforms: [CenterCrop: {size: [1, 2, 3]}]",
        "transforms: [CenterCrop: {size: 0}]",
        "transforms: [Pad: {padding: [1, 2, 3]}]",
        "transforms: [Pad: {padding: 1, padding_mode: mirror}]",
        "transforms: [RandomApply: {transforms: [Identty]}]",
        "transforms: [RandomApply: {transforms: []}]",
        "transforms: [ToDtype: {dtype: float}]",
        "transforms: [Normalize: {mean: [1], std: [0]}]",
        "transforms: [Resize: {size: 3, interpolation: cubic}]",
    ],
)
def test_what_does_not_load_does_not_fit_the_schema(text: str, validator: Any) -> None:
    with pytest.raises(InvalidPipeline):
        loads(text, "x")
    assert not validator.is_valid(yaml.safe_load(text))


def test_a_docstring_is_read_in_parts() -> None:
    text = docstring.parse(
        """Do a thing with ``p``, over
        two lines.

        More about it,
        in a paragraph.

        And another.

        Draws: one number; then
            another.

        Args:
            size: a size: in
                pixels.
            p: a probability.

        Raises:
            InvalidInput: always.
        """
    )
    assert text.summary == "Do a thing with `p`, over two lines."
    assert text.body == "More about it, in a paragraph.\n\nAnd another."
    assert text.sections == {"Draws": "one number; then another.", "Raises": "InvalidInput: always."}
    assert text.arguments == {"size": "a size: in pixels.", "p": "a probability."}
    assert docstring.parse(None).summary == ""
