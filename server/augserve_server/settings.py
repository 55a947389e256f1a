"""Settings of the service: command line over AUGSERVE_* variables over a YAML file over the defaults written here."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, SecretStr, ValidationError
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
CLIENT_VARIABLE = "AUGSERVE_TOKEN"
TOKEN_SETTINGS = {"tokens", "tokens_file"}

SECRETS = ("tokens",)
"""Settings whose values are never repeated."""

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
MIB = 1024 * 1024


class Settings(BaseSettings):
    """Everything an operator can set; frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on. 0.0.0.0 is every interface: ask for tokens then, and see docs/security.md."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """TCP port to listen on; 0 takes any free one."""
    grpc_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """TCP port for the Open Inference Protocol over gRPC; 0 takes any free one; absent: no gRPC."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """Where pipelines run: cpu, cuda:N, or auto (CUDA where there is one, else the CPU)."""
    failover: Literal["none", "cpu"] = "none"
    """Where work goes on when a CUDA device fails: cpu (same results), or none (503, and /healthz wants a restart)."""
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    """Processes that serve, kept by one more that replaces those that die; absent: one process, and none to keep it."""
    worker_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """A worker whose event loop has not turned for so long hangs, and is replaced, in seconds."""
    pipelines: Path | None = None
    """Folder of pipelines, one YAML file each; absent: those that ship with augserve."""
    reload: bool = True
    """Watch the folder of pipelines, and serve a changed file within a second."""

    tokens_file: Path | None = None
    """YAML file of bearer tokens, read again when it changes; absent, and without tokens: nobody is asked for one."""
    tokens: SecretStr | None = None
    """The same YAML text itself: for AUGSERVE_TOKENS, where there is no file. Both may be given."""
    open_health: bool = True
    """Answer health without a token."""
    open_metrics: bool = False
    """Answer metrics without a token; else one with the scope read is needed, where tokens are asked for."""
    tls_certificate: Path | None = None
    """PEM file of the server's certificate and those that lead to its root; absent: plain HTTP."""
    tls_key: Path | None = None
    """PEM file of the certificate's private key; absent: it is in the same file."""
    tls_client_ca: Path | None = None
    """PEM file of the roots that clients' certificates must lead to; absent: clients need none."""

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
    max_output_side: Count = 16_384
    """Largest height or width of one result, in pixels; a larger one fails alone."""
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
    max_json_bytes: Count = MIB
    """Most bytes of JSON in a request of the Open Inference Protocol; large tensors are sent as binary data."""

    max_requests: Count = 1024
    """Most requests for work in flight; one more is refused with 429 before its body is read."""
    max_connections: Count = 2048
    """Most open connections; what comes beyond, and is not health or metrics, is refused with 503."""
    reserved_connections: Count = 16
    """Connections beyond max_connections, kept for health and metrics; one more closes the oldest of them."""
    max_peer_connections: Count | None = None
    """Most open connections of one address; one more is closed at once. Absent: no limit, as behind a proxy."""
    queue_results: Count = 2048
    """Most results (images times views) admitted and not yet computed; more are refused with 429."""
    queue_megapixels: Annotated[float, Field(gt=0)] = 512.0
    """Most decoded megapixels (of 3 MB each) admitted and not yet computed; more are refused with 429."""
    queue_bytes: Count = 2048 * MIB
    """Most bytes of request bodies and of results held at a time; more are refused with 429."""

    queue_seconds: Seconds = 2.0
    """Most seconds of this machine's work admitted and not yet done, as it is learned; more is refused with 429."""
    bulk_patience_s: Seconds = 10.0
    """How long bulk work gives way to interactive work, in seconds; then it takes its turn."""

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
    min_answer_bytes_per_s: Count = 65_536
    """Slowest that a client may take a whole answer, in bytes per second, after write_timeout_s to begin with."""
    keep_alive_s: Annotated[int, Field(ge=1, le=3600)] = 30
    """How long an idle connection is kept, in seconds."""
    drain_s: Seconds = 30.0
    """After SIGTERM, how long accepted work may take to finish, in seconds."""

    compress_responses: bool = False
    """Compress answers of the Open Inference Protocol where Accept-Encoding is just gzip or deflate: much slower."""
    repository_control: bool = False
    """Let clients of the Open Inference Protocol load and unload pipelines, and change what is logged."""

    shared_memory: bool = False
    """Let clients on this machine register shared memory, for tensors of the Open Inference Protocol to lie in."""
    shared_memory_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")] = "augserve-"
    """What the keys of shared memory must begin with: whoever can write such objects must be trusted with them."""
    shared_memory_regions: Count = 64
    """Most regions of shared memory registered at a time, of all clients together."""
    shared_memory_bytes: Count = 4096 * MIB
    """Most bytes in all registered regions together."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages that are logged; each request is one line at info."""
    log_format: Literal["text", "json"] = "text"
    """Log lines for people (text) or machines (json)."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """OTLP/HTTP collector that gets traces: http://localhost:4318; absent: none. Needs augserve[telemetry]."""

    @property
    def asks_for_tokens(self) -> bool:
        """Whether a request needs a token; where there are none, nobody has one."""
        return self.tokens is not None or self.tokens_file is not None

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
    elsewhere = {*given, *(name for name, value in in_file.items() if value is not None)}
    problems = [*_unknown(in_file, Settings.model_fields, f"{path}: "), *_unknown_variables(elsewhere)]
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


def _unknown_variables(elsewhere: Collection[str]) -> list[str]:
    """``elsewhere``: settings that come from other sources.

    AUGSERVE_TOKEN is the client's. Where no tokens are set, it is more likely a misspelt AUGSERVE_TOKENS.
    """
    known = [ENV_PREFIX + name.upper() for name in Settings.model_fields]
    given = [name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name.upper() != CONFIG_VARIABLE]
    if TOKEN_SETTINGS & {*elsewhere, *(name.upper().removeprefix(ENV_PREFIX).lower() for name in given)}:
        known.append(CLIENT_VARIABLE)
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
    value = "a value" if name in SECRETS else repr(error["input"])
    return f"{_source(name, given, path)}: {value} is refused: {error['msg']}"


def _source(name: str, given: Mapping[str, object], path: Path | None) -> str:
    if name in given:
        return f"--{name.replace('_', '-')}"
    variable = ENV_PREFIX + name.upper()
    return variable if variable in (given_name.upper() for given_name in os.environ) else f"{path}: {name}"
