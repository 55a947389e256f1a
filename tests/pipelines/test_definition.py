"""Pipeline files: what loads, what is refused and in which words, and what the fingerprint depends on."""

import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augserve_pipelines import document
from augserve_pipelines.decode_rule import DecodeRule
from augserve_pipelines.definition import Definition, canonical, fingerprint, load, loads, to_yaml
from augserve_pipelines.errors import InvalidParameters, InvalidPipeline, PipelinesError, Problem
from augserve_pipelines.input_rule import InputRule
from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.transforms import (
    Compose,
    Identity,
    Normalize,
    RandomApply,
    RandomCrop,
    RandomHorizontalFlip,
    Resize,
    ToDtype,
)
from augserve_pipelines.transforms.base import Transform

FULL = """\
description: ImageNet training, 224 px
parity: pillow
input: {mode: L, alpha: white}
transforms:
  - RandomResizedCrop: {size: [224, 192], interpolation: bicubic}
  - RandomHorizontalFlip
  - RandomVerticalFlip:
  - RandomApply:
      p: 1
      transforms:
        - RandomCrop: {size: 3, padding: [1, 2], fill: null}
        - Identity
  - ToDtype: {dtype: float32, scale: true}
  - Normalize: {mean: [0.5], std: [0.25]}
"""


def problems(text: str, name: str = "x") -> list[str]:
    with pytest.raises(InvalidPipeline) as caught:
        loads(textwrap.dedent(text), name)
    return [str(problem) for problem in caught.value.problems]


def the_problem(text: str) -> str:
    (problem,) = problems(text)
    return problem


def steps(text: str) -> tuple[Transform, ...]:
    return loads(f"transforms: {text}", "x").transforms


def fingerprint_of(definition: Definition) -> str:
    return fingerprint(definition.parity, definition.input, definition.transforms, definition.decode)


def test_a_whole_file_loads() -> None:
    found = loads(FULL, "full")
    assert (found.name, found.description, found.parity) == ("full", "ImageNet training, 224 px", "pillow")
    assert found.input == InputRule(mode="L", orientation="apply", alpha="white")
    crop, flip, _, apply, cast, normalize = found.transforms
    assert crop.arguments == {
        "size": (224, 192),
        "scale": (0.08, 1.0),
        "ratio": (3 / 4, 4 / 3),
        "interpolation": InterpolationMode.BICUBIC,
        "antialias": True,
    }
    assert flip.arguments == {"p": 0.5}
    assert apply.arguments["p"] == 1.0
    assert [type(child) for child in apply.arguments["transforms"]] == [RandomCrop, Identity]
    assert cast.arguments == {"dtype": torch.float32, "scale": True}
    assert normalize.arguments["std"] == (0.25,)


def test_a_file_is_named_for_its_stem(tmp_path: Path) -> None:
    path = tmp_path / "my-pipeline.v2.yaml"
    path.write_text("transforms: [Identity]", encoding="utf-8-sig")
    assert load(path).name == "my-pipeline.v2"
    assert load(str(path)).description == ""


@pytest.mark.parametrize("stem", [".hidden", "spa ce", "a" * 129, "naïve", "semi;colon"])
def test_a_stem_that_cannot_stand_in_an_address_is_refused(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.yaml"
    path.write_text("transforms: [Identity]")
    with pytest.raises(InvalidPipeline, match="cannot name a pipeline; allowed: letters, digits"):
        load(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "x.yaml: is empty; a pipeline has at least the key 'transforms'"),
        (b"# only a comment\n", "x.yaml: is empty; a pipeline has at least the key 'transforms'"),
        (b"transforms:\n  - \xff\n", "x.yaml:2: is not UTF-8: byte 0xff"),
        (b"a" * (document.MAX_BYTES + 1), "x.yaml: is larger than 256 KiB"),
        ("é".encode() * (document.MAX_BYTES // 2 + 1), "x.yaml: is larger than 256 KiB"),
        (b"transforms: [\0]", "x.yaml: is not YAML: "),
    ],
)
def test_a_file_that_is_no_pipeline_text_is_one_problem(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(InvalidPipeline) as caught:
        load(tmp_path / "x.yaml")
    assert str(caught.value).startswith(expected)
    assert len(caught.value.problems) == 1


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(InvalidPipeline, match=r"^none\.yaml: cannot be read: No such file or directory$"):
        load(tmp_path / "none.yaml")
    with pytest.raises(InvalidPipeline, match=r"cannot be read: Is a directory$"):
        load(tmp_path)


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    found = problems("""\
        descripton: typo
        parity: torch
        input: {mode: RGBA, alfa: drop}
        transforms:
          - RandomHorizontalFlip: {p: 1.5}
          - RandomHorizontalFlp
          - RandomApply:
              p: half
              transforms:
                - Normalize:
                    mean: [1, "2"]
                    std: [1, 0]
          - Resize: {sise: 3}
        """)
    assert found == [
        "x:1: descripton: a pipeline has no 'descripton'; did you mean 'description'? "
        "allowed: decode, description, input, parity, transforms",
        "x:2: parity: 'torch' is not one of torchvision, pillow",
        "x:3: input.alfa: input has no 'alfa'; did you mean 'alpha'? allowed: alpha, mode, orientation",
        "x:3: input.mode: 'RGBA' is not one of RGB, L",
        "x:5: transforms[0].RandomHorizontalFlip.p: 1.5 is greater than 1",
        "x:6: transforms[1]: no transform is named 'RandomHorizontalFlp'; did you mean 'RandomHorizontalFlip'?",
        "x:8: transforms[2].RandomApply.p: 'half' is not a number",
        "x:11: transforms[2].RandomApply.transforms[0].Normalize.mean[1]: '2' is not a number",
        "x:12: transforms[2].RandomApply.transforms[0].Normalize.std[1]: 0 is not allowed: values are divided by it",
        "x:13: transforms[3].Resize.sise: Resize has no 'sise'; did you mean 'size'? "
        "allowed: antialias, interpolation, max_size, size",
        "x:13: transforms[3].Resize.size: is missing; it takes an integer, a list of one or two integers, or null",
    ]


def test_a_problem_has_its_parts() -> None:
    with pytest.raises(InvalidPipeline) as caught:
        loads("transforms:\n- RandomHorizontalFlip: {p: 2}", "imagenet.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("imagenet.yaml", 2)
    assert (problem.place, problem.message) == ("transforms[0].RandomHorizontalFlip.p", "2 is greater than 1")
    assert str(problem) == "imagenet.yaml:2: transforms[0].RandomHorizontalFlip.p: 2 is greater than 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("description: x", "x:1: transforms: is missing; it takes a list of transforms"),
        ("transforms:", "x:1: transforms: null is not a list of transforms"),
        ("transforms: []", "x:1: transforms: the list is empty; at least one transform is needed"),
        ("transforms: Identity", "x:1: transforms: 'Identity' is not a list of transforms"),
        ("- Identity", "x:1: ['Identity'] is not a mapping of description, parity, input, decode, transforms"),
        ("Identity", "x:1: 'Identity' is not a mapping of description, parity, input, decode, transforms"),
        ("{transforms: [Identity], input: RGB}", "x:1: input: 'RGB' is not a mapping of mode, orientation, alpha"),
        ("{transforms: [Identity], decode: fast}", "x:1: decode: 'fast' is not a mapping of jpeg, scale"),
        (
            "{transforms: [Identity], decode: {jpeg: quick}}",
            "x:1: decode.jpeg: 'quick' is not one of exact, fast",
        ),
        ("{transforms: [Identity], description: 3}", "x:1: description: 3 is not a string"),
        ("transforms: [3]", "x:1: transforms[0]: 3 is not a transform: write its name, or {name: parameters}"),
        ("transforms: [null]", "x:1: transforms[0]: null is not a transform: write its name, or {name: parameters}"),
        ("transforms: [{}]", "x:1: transforms[0]: a step is one transform, this has the keys []"),
        (
            "transforms: [{RandomHorizontalFlip: null, p: 0.5}]",
            "x:1: transforms[0]: a step is one transform, this has the keys ['RandomHorizontalFlip', 'p']; "
            "are the parameters indented under the name?",
        ),
        (
            "transforms: [Resize: 224]",
            "x:1: transforms[0].Resize: 224 is not a mapping of size, interpolation, max_size, antialias",
        ),
        ("transforms: [Identity: [3]]", "x:1: transforms[0].Identity: [3] is not a mapping of no parameters"),
        (
            "transforms: [Identity: {p: 1}]",
            "x:1: transforms[0].Identity.p: Identity has no 'p'; allowed: nothing",
        ),
        (
            "transforms: [RandomApply: {transforms: [], p: 1}]",
            "x:1: transforms[0].RandomApply.transforms: the list is empty; at least one transform is needed",
        ),
        (
            "transforms: [RandomChoice: {transforms: [Identity], p: [1, 2]}]",
            "x:1: transforms[0].RandomChoice: p has 2 weights for 1 transforms: one each is needed",
        ),
        (
            "transforms: [RandomHorizontalFlip: {p: on}]",
            "x:1: transforms[0].RandomHorizontalFlip.p: 'on' is not a number",
        ),
    ],
)
def test_wrong_shapes_are_told_what_is_right(text: str, expected: str) -> None:
    assert the_problem(text) == expected


def test_a_key_of_any_text_stays_on_one_short_line() -> None:
    found = the_problem('{transforms: [Identity], "a\\nb": 1}')
    assert found.startswith(r"x:1: 'a\nb': a pipeline has no 'a\nb'; allowed: ")
    assert len(the_problem(f"{{transforms: [Identity], ? {'k' * 5000} : 1}}")) < 400
    assert len(the_problem(f"transforms: [{'Resize' * 5000}]")) < 1500  # all names of transforms


def test_an_unknown_transform_without_a_near_name_is_told_all_there_are() -> None:
    found = the_problem("transforms: [Xyzzy]")
    assert "no transform is named 'Xyzzy'; allowed: AugMix, AutoAugment, CenterCrop, " in found
    assert ", Resize, " in found
    assert "RandomTransform" not in found


def test_duplicate_keys_are_refused_wherever_they_stand() -> None:
    assert problems("""\
        parity: pillow
        parity: torchvision
        transforms:
          - Resize: {size: 3, size: 4}
          - Identity:
            Identity:
        """) == [
        "x:2: parity: stands twice, first on line 1",
        "x:4: transforms[0].Resize.size: stands twice, first on line 4",
        "x:6: transforms[1].Identity: stands twice, first on line 5",
    ]


def test_scalars_are_those_of_json() -> None:
    (crop,) = steps("[RandomCrop: {size: 007, pad_if_needed: True, fill: [1, 2.5, 1e-3, +.5, 0x10]}]")
    assert crop.arguments["size"] == 7
    assert crop.arguments["pad_if_needed"] is True
    assert crop.arguments["fill"] == (1.0, 2.5, 0.001, 0.5, 16.0)
    for text in ("yes", "off", "1_000", "1:30", "2020-01-01"):
        assert loads(f"{{description: {text}, transforms: [Identity]}}", "x").description == text
    assert the_problem("transforms: [RandomHorizontalFlip: {p: .nan}]").endswith("nan is not a finite number")
    assert the_problem("transforms: [RandomHorizontalFlip: {p: -.inf}]").endswith("-inf is not a finite number")
    assert the_problem('transforms: [RandomHorizontalFlip: {p: "1"}]').endswith("'1' is not a number")
    assert the_problem(f"transforms: [CenterCrop: {{size: {'9' * 5000}}}]").endswith("a list of one or two integers")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "transforms: !!python/object/apply:os.system [ls]",
            "x:1: uses the tag 'tag:yaml.org,2002:python/object/apply",
        ),
        ("transforms: [!!str Identity]", "x:1: uses the tag 'tag:yaml.org,2002:str'; tags are not allowed"),
        ("transforms: [! Identity]", "x:1: uses the tag '!'; tags are not allowed"),
        ("? !!str transforms\n: [Identity]", "x:1: uses the tag 'tag:yaml.org,2002:str'"),
        ("a: &a {b: c}\n<<: *a", "x:2: uses a merge key (<<); write the keys out, or alias a whole value"),
        ("[a]: b", "x:1: has a key that is not a plain string"),
        ("*a : b", "x:1: has a key that is not a plain string"),
        ("transforms: [Identity]\n---\ntransforms: [Identity]", "x:2: has a second document; one file is one pipeline"),
        ("transforms: [", "x:1: is not YAML: while parsing a flow node"),
        (
            "transforms:\n\t- Identity",
            "x:2: is not YAML: while scanning for the next token found character that cannot",
        ),
        ("a: *b", "x:1: uses the alias *b, which no anchor before it defines"),
        ("a: &b [*b]", "x:1: uses the alias *b inside its own anchor"),
        ("a: \ud800", "x:1: is not YAML: surrogates not allowed"),
        ("[" * 100_000, "x:1: is nested more than 32 deep"),
        ("{a: " * 50_000, "x:1: is nested more than 32 deep"),
        ("- " * 100_000, "x:1: is nested more than 32 deep"),
        ("a: &a x\nb: [" + "*a, " * 65 + "]", "x:2: has more than 64 aliases"),
        ("a: [" + "x, " * 10_000 + "]", "x:1: has more than 10000 values, aliases written out"),
        ("a: &a " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*a" + "]" * 20, "x:2: is nested more than 32 deep"),
    ],
)
def test_only_plain_data_within_limits_is_read(text: str, expected: str) -> None:
    assert the_problem(text).startswith(expected)


def test_a_tab_is_called_a_tab() -> None:
    assert the_problem("transforms:\n\t- Identity").endswith("; indent with spaces, not tabs")


def test_a_billion_laughs_are_cut_short() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 8)]
    assert "aliases written out" in the_problem("\n".join(levels))


def test_a_pipeline_of_too_many_transforms_is_refused_before_they_are_tried() -> None:
    text = "transforms: [" + "RandomIoUCrop, " * 100 + "{RandomApply: {transforms: [" + "Identity, " * 28 + "]}}]"
    assert the_problem(text) == (
        "x:1: transforms[100].RandomApply.transforms: with these there are 129 transforms; at most 128 are allowed"
    )


@pytest.mark.parametrize("size", ["2147483648", "[3, 9223372036854775808]", "1" + "0" * 30])
def test_a_size_that_no_integer_of_a_device_holds_is_refused(size: str) -> None:
    assert "transforms[0].Resize.size" in the_problem(f"transforms: [Resize: {{size: {size}}}]")


def test_a_smoothing_too_large_for_any_image_is_refused() -> None:
    assert "is too large for an image of" in the_problem("transforms: [ElasticTransform: {sigma: 1.0e+308}]")


def test_an_alias_stands_for_the_whole_value() -> None:
    first, second = steps("\n- RandomCrop: &crop {size: 3, padding: 1}\n- RandomCrop: *crop")
    assert first.arguments == second.arguments
    found = problems("transforms:\n- CenterCrop: &wrong {size: 0}\n- CenterCrop: *wrong")
    assert [line.split(": transforms")[0] for line in found] == ["x:2", "x:2"]


def test_canonical_yaml_loads_to_the_same_fingerprint() -> None:
    found = loads(FULL, "full")
    text = to_yaml(found.description, found.parity, found.input, found.transforms)
    again = loads(text, "again")
    assert fingerprint_of(again) == fingerprint_of(found)
    assert again.description == found.description
    assert to_yaml(again.description, again.parity, again.input, again.transforms) == text


def test_how_images_may_be_decoded_loads() -> None:
    assert loads("transforms: [Identity]", "x").decode == DecodeRule(jpeg="exact", scale="full")
    found = loads("{decode: {jpeg: fast, scale: dct}, transforms: [Identity]}", "x")
    assert found.decode == DecodeRule(jpeg="fast", scale="dct")
    again = loads(to_yaml("", found.parity, found.input, found.transforms, found.decode), "again")
    assert fingerprint_of(again) == fingerprint_of(found)


def test_the_default_decoding_is_no_part_of_the_canonical_form() -> None:
    spelled_out = loads("{decode: {jpeg: exact, scale: full}, transforms: [Identity]}", "x")
    assert fingerprint_of(spelled_out) == fingerprint_of(loads("transforms: [Identity]", "x"))
    assert "decode" not in canonical("torchvision", InputRule(), [Identity()], spelled_out.decode)
    fast = canonical("torchvision", InputRule(), [Identity()], DecodeRule(jpeg="fast"))
    assert fast["decode"] == {"jpeg": "fast", "scale": "full"}


def test_the_canonical_form_spells_out_every_default() -> None:
    found = loads("transforms: [Identity, ToDtype: {dtype: {Tensor: uint8, others: null}}]", "x")
    assert canonical(found.parity, found.input, found.transforms) == {
        "parity": "torchvision",
        "input": {"mode": "RGB", "orientation": "apply", "alpha": "drop"},
        "transforms": [{"Identity": {}}, {"ToDtype": {"dtype": {"Tensor": "uint8", "others": None}, "scale": False}}],
    }


@given(
    st.text(max_size=40) | st.sampled_from(["1e3", "0o7", "on", "~", "null", "1", ".5", "- a", "a: b", "#", "é\n\n x"])
)
def test_any_description_survives_the_canonical_yaml(description: str) -> None:
    text = to_yaml(description, "torchvision", InputRule(), [Identity()])
    assert loads(text, "x").description == description


@given(st.text(alphabet="{}[]&*!:-,#|>'\"%@` \n\tatransformsIdentity0.", max_size=60) | st.binary(max_size=60))
def test_whatever_the_text_the_only_error_is_invalid_pipeline(text: str | bytes) -> None:
    found: tuple[Problem, ...] = (Problem(None, "", "loaded"),)
    try:
        loads(text if isinstance(text, str) else text.decode("latin-1"), "x")
    except InvalidPipeline as error:
        found = error.problems
    assert found
    assert all("\n" not in str(problem) for problem in found)


@pytest.mark.parametrize(
    ("same", "other"),
    [
        ("[RandomHorizontalFlip]", "[RandomHorizontalFlip: {p: 0.5}]"),
        ("[RandomHorizontalFlip: {p: 1}]", "[RandomHorizontalFlip: {p: 1.0}]"),
        ("[Resize: {size: 3, antialias: true}]", "\n- Resize:\n    size: 3"),
        ("[Resize: {size: 3, interpolation: 3}]", "[Resize: {interpolation: bicubic, size: 3}]"),
        ("[Pad: {padding: 1, fill: 0}]", "[Pad: {fill: 0.0, padding: 1}]"),
    ],
)
def test_writing_it_another_way_leaves_the_fingerprint(same: str, other: str) -> None:
    assert fingerprint("torchvision", InputRule(), steps(same)) == fingerprint("torchvision", InputRule(), steps(other))


def test_name_and_description_do_not_enter_the_fingerprint() -> None:
    first = loads("{description: one, transforms: [Identity]}", "a")
    assert fingerprint_of(first) == fingerprint_of(loads("transforms: [Identity]", "b"))


def test_whatever_changes_results_changes_the_fingerprint() -> None:
    texts = [
        "transforms: [Resize: {size: 3}]",
        "transforms: [Resize: {size: 4}]",
        "transforms: [Resize: {size: 3}, Identity]",
        "{parity: pillow, transforms: [Resize: {size: 3}]}",
        "{input: {mode: L}, transforms: [Resize: {size: 3}]}",
        "{input: {alpha: white}, transforms: [Resize: {size: 3}]}",
        "{input: {orientation: ignore}, transforms: [Resize: {size: 3}]}",
        "{decode: {jpeg: fast}, transforms: [Resize: {size: 3}]}",
        "{decode: {scale: dct}, transforms: [Resize: {size: 3}]}",
    ]
    assert len({fingerprint_of(loads(text, "x")) for text in texts}) == len(texts)


def test_the_fingerprint_stays_from_release_to_release() -> None:
    found = fingerprint("torchvision", InputRule(), [RandomHorizontalFlip(), Normalize([0.5], [0.25])])
    assert found == "fc9b818b5b6542f19a06c19d16cdf1d92b568ce379ffeb397d5150c7044d992c"


def test_python_and_yaml_give_one_fingerprint() -> None:
    in_python = [Resize([256], InterpolationMode.BICUBIC), RandomApply([Compose([ToDtype(torch.uint8)])], 0.25)]
    in_yaml = steps(
        "[Resize: {size: [256], interpolation: bicubic}, "
        "RandomApply: {p: 0.25, transforms: [Compose: {transforms: [ToDtype: {dtype: uint8}]}]}]"
    )
    assert fingerprint("pillow", InputRule(), in_python) == fingerprint("pillow", InputRule(), in_yaml)


class Brighter(Transform):
    """A transform of the tests' own."""

    def __init__(self, amount: object) -> None:
        super().__init__()


def test_a_transform_of_ones_own_has_a_fingerprint_where_its_arguments_are_plain() -> None:
    plain = canonical("torchvision", InputRule(), [Brighter((1, torch.ones(2), {"a": torch.uint8}))])
    (step,) = plain["transforms"]  # type: ignore[misc]  # it is a list
    (name,) = step
    assert name.endswith("test_definition.Brighter")
    assert step[name] == {"amount": [1, [1.0, 1.0], {"a": "uint8"}]}
    with pytest.raises(InvalidParameters, match=r"Brighter\.amount: <built-in function abs> has no plain form"):
        fingerprint("torchvision", InputRule(), [Brighter(abs)])


def test_a_transform_without_a_constructor_has_no_arguments() -> None:
    class Plain(Transform):
        pass

    assert repr(Plain()) == "Plain()"
    assert list(canonical("torchvision", InputRule(), [Plain()])["transforms"][0].values()) == [{}]  # type: ignore[index, union-attr, call-overload]  # JSON


def test_all_errors_are_the_engines_own() -> None:
    assert issubclass(InvalidPipeline, PipelinesError)
    with pytest.raises(ValueError, match="frozen"):
        InputRule().mode = "L"  # type: ignore[misc]  # the error is the point
