"""Settings of the service: command line over AUGSERVE_* variables over a YAML file over the defaults written here."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from augserve_server.errors import InvalidSettings

ENV_PREFIX = "AUGSERVE_"
CONFIG_VARIABLE = "AUGSERVE_CONFIG"

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
MIB = 1024 * 1024


class Settings(BaseSettings):
    """Everything an operator can set; frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on. 0.0.0.0 is every interface: there is no authentication, so put a proxy in front."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """TCP port to listen on; 0 takes any free one."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """Where pipelines run: cpu, cuda:N, or auto (CUDA where there is one, else the CPU)."""
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    """Processes that serve, kept by one more that replaces those that die; absent: one process, and none to keep it."""
    worker_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """A worker whose event loop has not turned for so long hangs, and is replaced, in seconds."""
    pipelines: Path | None = None
    """Folder of pipelines, one YAML file each; absent: those that ship with augserve."""
    reload: bool = True
    """Watch the folder of pipelines, and serve a changed file within a second."""

    max_body_bytes: Count = 64 * MIB
    """Largest request body, in bytes."""
    max_body_chunks: Count = 65_536
    """Most pieces in which a request body may arrive: a flood of tiny ones costs more than its bytes."""
    max_image_bytes: Count = 32 * MIB
    """Largest encoded image, in bytes."""
    max_image_pixels: Count = 50_000_000
    """Most pixels of one image, height times width, as its header says."""
    max_image_side: Count = 16_384
    """Largest height or width of one image, in pixels."""
    max_stage_pixels: Count = 100_000_000
    """Most pixels that any step of a pipeline may make of one image or of a frame, height times width."""
    max_images: Count = 256
    """Most images or clips in one request."""
    max_clip_frames: Count = 256
    """Most frames of one clip."""
    clip_timeout_s: Seconds = 20.0
    """Time for one clip to be decoded, in seconds."""
    max_target_rows: Count = 10_000
    """Most boxes, masks, keypoints or labels of one sample."""
    max_views: Annotated[int, Field(ge=1, le=64)] = 64
    """Most views of each image that one request may ask for."""
    max_output_bytes: Count = 512 * MIB
    """Most bytes of results that one request may ask for, before they are encoded."""

    max_requests: Count = 1024
    """Most requests for work in flight; one more is refused with 429 before its body is read."""
    max_connections: Count = 2048
    """Most open connections; one more is closed at once."""
    queue_results: Count = 2048
    """Most results (images times views) admitted and not yet computed; more are refused with 429."""
    queue_megapixels: Annotated[float, Field(gt=0)] = 512.0
    """Most decoded megapixels (of 3 MB each) admitted and not yet computed; more are refused with 429."""
    queue_bytes: Count = 2048 * MIB
    """Most bytes of request bodies and of results held at a time; more are refused with 429."""

    batch_images: Count = 64
    """Most samples in one batch."""
    batch_megapixels: Annotated[float, Field(gt=0)] = 64.0
    """Most megapixels of source images in one batch; one larger sample goes alone."""
    max_wait_ms: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Longest that an idle device waits for a batch to fill, in milliseconds; 0 sends what there is at once."""
    pinned_megabytes: Annotated[float, Field(ge=0)] = 1024.0
    """Most MiB of pinned host memory for a CUDA device, with results not yet taken; beyond it, copies are slower."""
    device_megabytes: Annotated[float, Field(gt=0)] = 2048.0
    """Most MiB of source images on a CUDA device at a time; a batch of more goes in pieces, and others wait."""
    decode_threads: Count | None = None
    """Threads that decode images; absent: one for each CPU that this process may use."""
    encode_threads: Count | None = None
    """Threads that encode results; absent: one for each CPU that this process may use."""

    deadline_ms: Annotated[int, Field(ge=1, le=600_000)] = 60_000
    """Time for a request in milliseconds, from its headers to its results, unless Augserve-Timeout-Ms says it."""
    head_timeout_s: Seconds = 10.0
    """Time for a request's line and headers to arrive, in seconds."""
    body_timeout_s: Seconds = 45.0
    """Time for a request's whole body to arrive, in seconds."""
    body_idle_timeout_s: Seconds = 10.0
    """Longest silence within a request's body, in seconds."""
    write_timeout_s: Seconds = 30.0
    """Longest that a client may take no byte of its answer, in seconds."""
    keep_alive_s: Annotated[int, Field(ge=1, le=3600)] = 30
    """How long an idle connection is kept, in seconds."""
    drain_s: Seconds = 30.0
    """After SIGTERM, how long accepted work may take to finish, in seconds."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages that are logged; each request is one line at info."""
    log_format: Literal["text", "json"] = "text"
    """Log lines for people (text) or machines (json)."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keep the sources that are documented, strongest first."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load_settings(config: Path | None = None, **flags: object) -> Settings:
    """Read every source. ``flags`` are those of the command line; None means that a flag was not given.

    ``config`` (else AUGSERVE_CONFIG, else the shipped ``server.yaml``) is the YAML file.
    Raises InvalidSettings, which lists everything wrong in every source.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    path = config_path(config)
    in_file = _read_config(path)
    problems = [*_unknown(in_file, Settings.model_fields, f"{path}: "), *_unknown_variables()]
    if problems:
        raise InvalidSettings(problems)

    class FromFile(Settings):
        model_config = SettingsConfigDict(yaml_file=path)

    try:
        return Settings(**FromFile(**given).model_dump())  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as exc:
        raise InvalidSettings([_say(error, given, path) for error in exc.errors()]) from exc
    except SettingsError as exc:
        raise InvalidSettings([str(exc)]) from exc


def config_path(config: Path | None = None) -> Path | None:
    """The YAML file that is read: the one given, else AUGSERVE_CONFIG's, else the shipped one if it is there.

    Raises InvalidSettings where a file was named and is not there.
    """
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is None:
        shipped = shipped_configs() / "server.yaml"
        return shipped if shipped.is_file() else None
    if not named.is_file():
        raise InvalidSettings([f"there is no configuration file {str(named)!r}"])
    return named


def shipped_configs() -> Path:
    """The folder of configurations that ships: inside the installed package, or at the root of a checkout."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"


def pipelines_folder(settings: Settings) -> Path:
    """The folder whose pipelines are served."""
    return settings.pipelines or shipped_configs() / "pipelines"


def settings_yaml() -> str:
    """The text of ``configs/server.yaml``: every setting at its default, with what it means above it."""
    return _HEADING + "\n".join(_entries())


_HEADING = """\
# Every setting of `augserve serve` at its default.
#
# Stronger than this file: environment variables (AUGSERVE_PORT=9000), and stronger still the command line.
# Another file: `augserve serve --config FILE`, or AUGSERVE_CONFIG=FILE. A key that does not exist is an error.
# Written from the settings' definitions by scripts/generate.py.

"""


def _entries() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        value = "null" if field.default is None else yaml.safe_dump(field.default).removesuffix("...\n").strip()
        yield f"# {field.description}\n{name}: {value}\n"


def _read_config(path: Path | None) -> Mapping[str, object]:
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise InvalidSettings([f"{path}: {' '.join(str(exc).split())}"]) from exc
    if content is not None and not isinstance(content, dict):
        raise InvalidSettings([f"{path}: must be a mapping of settings to values, not {type(content).__name__}"])
    return content or {}


def _unknown_variables() -> list[str]:
    known = [ENV_PREFIX + name.upper() for name in Settings.model_fields]
    given = [name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name.upper() != CONFIG_VARIABLE]
    return _unknown([name.upper() for name in given], [*known, CONFIG_VARIABLE], "environment: ")


def _unknown(given: Collection[object], known: Collection[str], where: str) -> list[str]:
    return [f"{where}there is no setting {name!r}{_nearest(str(name), known)}" for name in given if name not in known]


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"


def _say(error: ErrorDetails, given: Mapping[str, object], path: Path | None) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return f"there is no setting {name!r}{_nearest(name, Settings.model_fields)}"
    return f"{_source(name, given, path)}: {error['input']!r} is refused: {error['msg']}"


def _source(name: str, given: Mapping[str, object], path: Path | None) -> str:
    if name in given:
        return f"--{name.replace('_', '-')}"
    variable = ENV_PREFIX + name.upper()
    return variable if variable in (given_name.upper() for given_name in os.environ) else f"{path}: {name}"
