"""Where settings come from, which source is the strongest, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from augserve_server.errors import InvalidSettings
from augserve_server.settings import Settings, load_settings, pipelines_folder, settings_yaml, shipped_configs


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def problems(config: Path | None = None, **flags: object) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(config, **flags)
    return caught.value.problems


def test_the_command_line_is_over_the_environment_over_the_file_over_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path, "port: 1\nmax_images: 1\ndrain_s: 1\n")
    monkeypatch.setenv("AUGSERVE_PORT", "2")
    monkeypatch.setenv("AUGSERVE_MAX_IMAGES", "2")
    settings = load_settings(config, port=3)
    assert (settings.port, settings.max_images, settings.drain_s, settings.max_views) == (3, 2, 1.0, 64)


def test_a_flag_that_was_not_given_leaves_the_other_sources_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGSERVE_HOST", "::1")
    assert load_settings(host=None).host == "::1"


def test_the_shipped_file_says_every_default_and_is_fresh() -> None:
    text = (shipped_configs() / "server.yaml").read_text()
    assert text == settings_yaml(), "run: python -m scripts.generate"
    said = yaml.safe_load(text)
    assert said == Settings().model_dump(mode="json")
    assert text.count("\n# ") > len(said)


def test_the_environment_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGSERVE_CONFIG", str(write(tmp_path, "port: 4\n")))
    assert load_settings().port == 4


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.yaml"
    assert problems(missing) == (f"there is no configuration file {str(missing)!r}",)
    monkeypatch.setenv("AUGSERVE_CONFIG", str(missing))
    assert problems() == (f"there is no configuration file {str(missing)!r}",)


def test_an_unknown_key_is_an_error_that_names_it_and_the_nearest(tmp_path: Path) -> None:
    config = write(tmp_path, "max_veiws: 3\nport: 1\n")
    assert problems(config) == (f"{config}: there is no setting 'max_veiws'; did you mean 'max_views'?",)


def test_an_unknown_variable_is_an_error_that_names_it_and_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGSERVE_PROT", "1")
    assert problems() == ("environment: there is no setting 'AUGSERVE_PROT'; did you mean 'AUGSERVE_PORT'?",)


def test_every_unknown_name_is_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGSERVE_QQQ", "1")
    found = problems(write(tmp_path, "zzz: 1\nyyy: 2\n"))
    assert [name in problem for name, problem in zip(("zzz", "yyy", "QQQ"), found, strict=True)] == [True] * 3


def test_a_refused_value_names_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path, "max_images: 0\n")
    monkeypatch.setenv("AUGSERVE_DEADLINE_MS", "soon")
    found = "\n".join(problems(config, port=70_000, device="tpu"))
    assert "--port: 70000 is refused" in found
    assert "--device: 'tpu' is refused" in found
    assert "AUGSERVE_DEADLINE_MS: 'soon' is refused" in found
    assert f"{config}: max_images: 0 is refused" in found


@pytest.mark.parametrize("text", ["- a\n- b\n", "port: [\n", "just words\n"])
def test_a_file_that_is_no_mapping_is_an_error(tmp_path: Path, text: str) -> None:
    config = write(tmp_path, text)
    assert problems(config)[0].startswith(f"{config}: ")


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "")) == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]  # what is tested


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_without_a_folder_the_shipped_pipelines_are_served(tmp_path: Path) -> None:
    assert pipelines_folder(Settings()) == shipped_configs() / "pipelines"
    assert pipelines_folder(Settings(pipelines=tmp_path)) == tmp_path
