"""Which files a run reads, and the names of what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from augserve_server.image_folder import Source, find_images, output_stems


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def places(sources: list[Source]) -> list[str]:
    return [source.place.as_posix() for source in sources]


def test_a_folder_is_searched_to_any_depth_by_suffix(tmp_path: Path) -> None:
    make_files(tmp_path, "b.JPG", "a/deep/er.png", "a/notes.txt", "c.webp", "z.tiff", "no_suffix")
    assert places(find_images([tmp_path], tmp_path / "out")) == ["a/deep/er.png", "b.JPG", "c.webp", "z.tiff"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg", "._a.jpg", ".cache/b.jpg")
    assert places(find_images([tmp_path], tmp_path / "out")) == ["a.jpg"]


def test_results_inside_the_searched_folder_are_not_read_again(tmp_path: Path) -> None:
    make_files(tmp_path, "a.jpg", "out/a.jpg", "outside/b.jpg")
    assert places(find_images([tmp_path], tmp_path / "out")) == ["a.jpg", "outside/b.jpg"]


def test_a_named_file_is_taken_whatever_its_suffix_and_once(tmp_path: Path) -> None:
    make_files(tmp_path, "upload.bin", "a.jpg")
    paths = [tmp_path / "upload.bin", tmp_path / "a.jpg", tmp_path, tmp_path / "upload.bin"]
    assert places(find_images(paths, tmp_path / "out")) == ["a.jpg", "upload.bin"]


def test_the_order_is_that_of_the_places_not_of_the_arguments(tmp_path: Path) -> None:
    make_files(tmp_path, "b.jpg", "a.jpg")
    forwards = find_images([tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "out")
    assert find_images([tmp_path / "b.jpg", tmp_path / "a.jpg"], tmp_path / "out") == forwards


def test_of_several_folders_each_keeps_its_name(tmp_path: Path) -> None:
    make_files(tmp_path, "cats/a.jpg", "dogs/a.jpg")
    found = find_images([tmp_path / "cats", tmp_path / "dogs"], tmp_path / "out")
    assert places(found) == ["cats/a.jpg", "dogs/a.jpg"]


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        find_images([tmp_path / "nowhere.jpg"], tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png", "b.jpg"], ["a.jpg", "a.png", "b"]),
        (["x/a.jpg", "y/a.png"], ["x/a", "y/a"]),
        (["a.jpg", "a.jpg.png", "a.png"], ["a.jpg", "a.jpg.png", "a.png"]),
        (["photo.2024.jpg", "photo.jpg"], ["photo.2024", "photo"]),
    ],
)
def test_names_drop_their_suffix_unless_two_would_meet(names: list[str], stems: list[str]) -> None:
    sources = [Source(Path("in") / name, Path(name)) for name in names]
    assert [stem.as_posix() for stem in output_stems(sources)] == stems


def test_two_images_for_one_place_are_refused() -> None:
    sources = [Source(Path("cats/a.jpg"), Path("a.jpg")), Source(Path("dogs/a.jpg"), Path("a.jpg"))]
    with pytest.raises(ValueError, match=r"two of the images would be written to 'a\.jpg'"):
        output_stems(sources)
