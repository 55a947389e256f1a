"""The `augserve` command line. Each command reads its options here; its work is in modules of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# torch takes seconds to import, and FastAPI the better part of one: commands import what they need, and --help nothing.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Image augmentation pipelines with torchvision v2's pixels: as a service, and over your own files.",
    epilog="A pipeline is a YAML file; `augserve pipelines` lists those that ship.",
)

PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", help="Name of a shipped pipeline, or a YAML file.")]
DeviceName = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda:N", help="Where to run; auto is CUDA where there is one.")
]
Folder = Annotated[
    Path | None,
    typer.Option("--pipelines", metavar="FOLDER", help="Folder of pipelines.", show_default="those shipped"),
]

USAGE = 2


class Format(StrEnum):
    """What results are written as."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    NPY = "npy"
    SAFETENSORS = "safetensors"


@app.callback(invoke_without_command=True)
def options(
    show_version: Annotated[bool, typer.Option("--version", help="Say the version and stop.")] = False,
) -> None:
    """Options of the program itself."""
    if show_version:
        print(f"augserve {version('augserve')}")
        raise typer.Exit


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port to listen on; 0 is any free one.", show_default="8000")
    ] = None,
    grpc_port: Annotated[
        int | None, typer.Option(metavar="N", help="Port of gRPC; 0 is any free one.", show_default="no gRPC")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda:N", help="Where to run.", show_default="auto")
    ] = None,
    pipelines: Folder = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes to serve in, kept by one more.", show_default="one, kept by none"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file of settings; AUGSERVE_* variables are stronger.")
    ] = None,
) -> None:
    """Serve pipelines over HTTP, and gRPC where that is asked for, until told to stop."""
    from augserve_server.errors import StartError
    from augserve_server.settings import load_settings

    flags = {
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "device": device,
        "pipelines": pipelines,
        "workers": workers,
    }
    with usage_errors(OSError, StartError):
        settings = load_settings(config, **flags)
        if settings.workers is None:
            from augserve_server.app import serve as run_server

            run_server(settings)
        else:
            from augserve_server.workers.supervisor import supervise

            raise typer.Exit(supervise(settings, lambda: load_settings(config, **flags)))


@app.command()
def run(
    pipeline: PipelineName,
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS", help="Images, and folders of images.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write to.")],
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the first image; image i has N + i.")] = 0,
    views: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Results for each image.")] = 1,
    format: Annotated[
        Format | None,
        typer.Option(metavar="|".join(Format), help="What to write.", show_default="jpeg for pictures, npy for floats"),
    ] = None,
    quality: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Quality of JPEG and WebP.")] = 90,
    device: DeviceName = "auto",
    batch: Annotated[int, typer.Option(min=1, max=1024, metavar="N", help="Most results to compute at once.")] = 32,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, metavar="N", help="Threads to decode and encode in.", show_default="one a CPU"),
    ] = None,
) -> None:
    """Run a pipeline over files and folders, without a server.

    Image i of all the images, in sorted order, is drawn with the seed SEED + i; view v of it with SEED + i * VIEWS + v.
    What is already written is skipped, so the same command goes on where it was stopped.
    Images that fail are listed at the end and make the exit status 1.
    """
    from augserve_pipelines.executor import cores
    from augserve_server.executor import choose_device
    from augserve_server.folder_run import FolderRun
    from augserve_server.image_files import ImageReader
    from augserve_server.image_folder import find_images
    from augserve_server.pipeline_files import load_pipeline
    from augserve_server.results import Form
    from augserve_server.run_plan import FORMATS, RunRecord, choose_format, keep_record, plan_run
    from augserve_server.run_report import report_run

    with usage_errors(*mistakes()):
        loaded = load_pipeline(pipeline)
        record = RunRecord(loaded.name, loaded.fingerprint, seed, views, choose_format(loaded, format), quality)
        form = Form(FORMATS[record.format].media_type, quality)
        read = ImageReader(loaded.input)
        folder_run = FolderRun(loaded, choose_device(device), read, form, batch, workers or cores())
        sources = find_images(paths, output)
        tasks = plan_run(sources, output, record)
        keep_record(output, record)
    raise typer.Exit(report_run(folder_run.outcomes(tasks), len(tasks), len(sources) - len(tasks)))


@app.command()
def show(
    pipeline: PipelineName,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write.")] = Path(
        "sheet.png"
    ),
    count: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Samples to draw.")] = 16,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the first sample; the next has N + 1.")] = 0,
    columns: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Pictures in a row.")] = 6,
    size: Annotated[int, typer.Option(min=16, max=1024, metavar="N", help="Side of a picture, in pixels.")] = 192,
    device: DeviceName = "auto",
) -> None:
    """Draw a contact sheet: an image, and what a pipeline makes of it under successive seeds."""
    from augserve_server.contact_sheet import draw_sheet
    from augserve_server.executor import choose_device
    from augserve_server.image_files import ImageReader
    from augserve_server.pipeline_files import load_pipeline

    with usage_errors(*mistakes()):
        loaded = load_pipeline(pipeline)
        pixels = ImageReader(loaded.input)(image)
        sheet = draw_sheet(loaded, pixels, range(seed, seed + count), columns, size, choose_device(device))
        sheet.save(output, quality=90)  # of JPEG and WebP
    print(f"{output}: {count} samples, {sheet.width} x {sheet.height} pixels")


@app.command()
def export(
    pipeline: PipelineName,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.pt2", help="File to write.")],
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Height and width of its images.", show_default="any")
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Take images of any height and width.")] = False,
    batch: Annotated[str, typer.Option(metavar="N|dynamic", help="Images at once; dynamic is any number.")] = "dynamic",
) -> None:
    """Write a pipeline as a program that torch runs without augserve.

    It takes a batch of images as decoded, uint8, and gives the pipeline's bytes. Pipelines that draw at random cannot
    be exported. See docs/export.md.
    """
    from augserve_pipelines.exporting import described
    from augserve_server.pipeline_export import parse_input, write_program
    from augserve_server.pipeline_files import load_pipeline

    with usage_errors(*mistakes()):
        if dynamic and size is not None:
            raise ValueError("--size and --dynamic exclude each other")
        loaded = load_pipeline(pipeline)
        takes = parse_input(size, batch, loaded.input.channels)
        about = write_program(loaded, takes, output).about
    print(f"{output}: {described(about['input'])} to {', '.join(map(described, about['outputs']))}")


@app.command()
def explain(
    pipeline: PipelineName,
    height: Annotated[int, typer.Option(min=1, max=16_384, metavar="N", help="Of the images, in pixels.")] = 375,
    width: Annotated[int, typer.Option(min=1, max=16_384, metavar="N", help="Of the images, in pixels.")] = 500,
    count: Annotated[int, typer.Option(min=1, max=1024, metavar="N", help="Images in the batch.")] = 64,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the first image; the next has N + 1.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Tell what a pipeline does to a batch: operations, what fused into what, launches, bytes moved.

    Nothing is run: it follows from the size of the images and the seeds.
    """
    from augserve_pipelines import explain as explain_pipeline
    from augserve_server.explanation_text import as_record, as_text
    from augserve_server.pipeline_files import load_pipeline

    with usage_errors(*mistakes()):
        loaded = load_pipeline(pipeline)
        explanation = explain_pipeline(loaded, (height, width), count, seed)
    if as_json:
        print(json.dumps(as_record(loaded, explanation), indent=2))
    else:
        Console().print(as_text(loaded, explanation))


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATHS]", help="YAML files, and folders of them.")
    ] = None,
) -> None:
    """Check pipeline files, and print every problem of each.

    Without PATHS: the shipped pipelines, and those in configs/pipelines where there is such a folder.
    A problem makes the exit status 1.
    """
    from augserve_server.pipeline_files import files_to_check, problems_of

    with usage_errors(*mistakes()):
        files = files_to_check(paths or [])
    problems = {file: problems_of(file) for file in files}
    for file in files:
        print("\n".join(map(str, problems[file])) or f"{file.name}: good")
    raise typer.Exit(int(any(problems.values())))


@app.command()
def pipelines(
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List pipelines: their names, what they give, their fingerprints."""
    from augserve_server.pipeline_files import load_folder, shipped_pipelines
    from augserve_server.pipeline_table import as_records, as_table

    with usage_errors(*mistakes()):
        loaded, problems = load_folder(folder or shipped_pipelines())
    if as_json:
        print(json.dumps(as_records(loaded), indent=2))
    else:
        Console().print(as_table(loaded))
    for problem in problems:
        print(problem, file=sys.stderr)
    raise typer.Exit(int(bool(problems)))


@app.command()
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is to be, as the log names it.")] = "client",
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="infer|read|admin|shm", help="What it is good for.", show_default="infer read"),
    ] = None,
) -> None:
    """Make a bearer token: print it, and the lines for `tokens_file` that let it in.

    The file need not hold the token itself; whoever has only the hash can do nothing with it.
    """
    from augserve_server.errors import InvalidSettings
    from augserve_server.tokens import Tokens, new_token

    made, hashed = new_token()
    entry = f"- name: {name}\n  token: {hashed}\n  scopes: [{', '.join(scopes or ['infer', 'read'])}]"
    with usage_errors(InvalidSettings):
        Tokens.parse(entry, "augserve token")
    print(made)
    print(entry, file=sys.stderr)


@contextmanager
def usage_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Errors of these kinds end the program with status 2 and what they say, without a traceback."""
    try:
        yield
    except kinds as exc:
        text = f"{exc.filename}: {exc.strerror}" if isinstance(exc, OSError) and exc.filename else str(exc)
        for line in text.splitlines():
            print(f"error: {line}", file=sys.stderr)
        raise typer.Exit(USAGE) from exc


def mistakes() -> tuple[type[Exception], ...]:
    """What the files and values that a user names may raise."""
    from augserve_pipelines import PipelinesError
    from augserve_server.errors import ServiceError

    return OSError, ValueError, PipelinesError, ServiceError
