"""The images that a run over files and folders reads, and where it writes their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# The usual suffixes of the formats that are decoded. What a file really is, its first bytes say.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
)


@dataclass(frozen=True, slots=True)
class Source:
    """An image file, and the place under the output folder that its results take, still with its own suffix."""

    path: Path
    place: Path


def find_images(paths: Sequence[Path], output: Path) -> list[Source]:
    """The image files among ``paths`` and in the folders among them, each once, sorted by place and path.

    A file that is named is taken whatever its suffix. A folder is searched to any depth by suffix, without hidden
    names and without what lies in ``output``. One folder's images keep their place in it; of several folders, each
    keeps its name as well.
    Raises FileNotFoundError, naming the path that is not there, or the paths where there is no image.
    """
    several = sum(path.is_dir() for path in paths) > 1
    found: dict[Path, Source] = {}
    for path in paths:
        for source in _sources(path, keep_name=several):
            resolved = source.path.resolve()
            if path.is_file() or not resolved.is_relative_to(output.resolve()):
                found.setdefault(resolved, source)
    if not found:
        raise FileNotFoundError(f"there is no image in {', '.join(map(str, paths))}")
    return sorted(found.values(), key=lambda source: (source.place.as_posix(), source.path.as_posix()))


def output_stems(sources: Sequence[Source]) -> list[Path]:
    """Each source's place without its suffix; with it where two would meet: ``a.jpg`` and ``a.png`` keep theirs.

    Raises ValueError where even the whole places of two sources are the same.
    """
    twice = [place for place, count in Counter(source.place for source in sources).items() if count > 1]
    if twice:
        raise ValueError(f"two of the images would be written to {str(twice[0])!r}; run them into separate folders")
    stems = [source.place.with_suffix("") for source in sources]
    while len(set(stems)) < len(stems):
        count = Counter(stems)
        stems = [source.place if count[stem] > 1 else stem for source, stem in zip(sources, stems, strict=True)]
    return stems


def _sources(path: Path, keep_name: bool) -> Iterator[Source]:
    if path.is_file():
        yield Source(path, Path(path.name))
        return
    if not path.is_dir():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}")
    for file in _visible_files(path):
        if file.suffix.lower() in IMAGE_SUFFIXES:
            place = file.relative_to(path)
            yield Source(file, path.resolve().name / place if keep_name else place)


def _visible_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))
