"""Encoded videos: PyAV's frames, upright; and files that lie, end early or ask for more than they get."""

from __future__ import annotations

import random
import struct
import sys
from collections import Counter
from io import BytesIO
from time import monotonic

import av
import numpy as np
import pytest

from augserve_pipelines import InputRule
from augserve_server.errors import ClientGone, ClipInvalid, ClipTooLarge, FormatNotAllowed, ImageTooLarge, ServiceError
from augserve_server.headers import ImageLimits
from augserve_server.inspection import ClipLimits, Inspector
from augserve_server.patience import Patience
from augserve_server.targets import TargetLimits
from augserve_server.uploads import SampleUpload
from augserve_server.videos import peek_video, video_format
from clips import Pixels, frames_by_pyav, make_frames, make_video
from factories import make_file

FRAMES = make_frames(6)


def patient() -> Patience:
    """As long as a clip may take, from now on."""
    return Patience(60, lambda: True)


def decoded(data: bytes, limits: ImageLimits | None = None, **rule: str) -> Pixels:
    """The frames of a clip under an input rule, [T, H, W, C]."""
    image = limits or ImageLimits()
    inspector = Inspector(image, ClipLimits(256, 60), TargetLimits(100, image))
    source = inspector.look(SampleUpload(clip=data), lambda: True).source
    assert source is not None
    return source.decode(InputRule.model_validate(rule), patient())


KINDS = [
    ("mp4", "mpeg4", "yuv420p"),
    ("mp4", "libx264", "yuv420p"),
    ("mp4", "libx264", "yuv444p"),
    ("mov", "mpeg4", "yuv420p"),
    ("matroska", "libx264", "yuv420p"),
    ("webm", "libvpx-vp9", "yuv420p"),
    ("webm", "libvpx", "yuv420p"),
    ("avi", "mjpeg", "yuvj420p"),
    ("avi", "mpeg4", "yuv420p"),
    ("matroska", "ffv1", "bgr0"),
]


@pytest.mark.parametrize(("container", "codec", "pixel_format"), KINDS)
def test_every_frame_is_pyavs(container: str, codec: str, pixel_format: str) -> None:
    data = make_video(container, codec, FRAMES, pixel_format)
    found = decoded(data)
    assert found.shape == (6, 48, 64, 3)
    np.testing.assert_array_equal(found, frames_by_pyav(data))


def test_a_lossless_video_gives_its_pictures_back() -> None:
    found = decoded(make_video("matroska", "ffv1", FRAMES, "bgr0"))
    np.testing.assert_array_equal(found, np.stack([np.asarray(frame) for frame in FRAMES]))


def test_frames_come_in_the_order_in_which_they_are_shown() -> None:
    found = decoded(make_video("mp4", "libx264", make_frames(30), "yuv444p", bf="3", crf="1"))
    pictures = np.stack([np.asarray(frame) for frame in make_frames(30)])
    assert np.abs(found.astype(int) - pictures).mean() < 2


def test_mode_l_is_the_luma_of_rgb() -> None:
    data = make_video("mp4", "mpeg4", FRAMES)
    found = decoded(data, mode="L")
    expected = [frame.to_image().convert("L") for frame in av.open(BytesIO(data)).decode(video=0)]
    np.testing.assert_array_equal(found[..., 0], np.stack([np.asarray(frame) for frame in expected]))


def turned(data: bytes, matrix: tuple[int, ...]) -> bytes:
    """An MP4 whose track is to be shown through this matrix."""
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    numbers = [value << (30 if i % 3 == 2 else 16) for i, value in enumerate(matrix)]
    return data[:at] + struct.pack(">9i", *numbers) + data[at + 36 :]


def test_a_video_from_a_phone_is_turned_upright() -> None:
    data = make_video("mp4", "mpeg4", FRAMES)
    clockwise = turned(data, (0, 1, 0, -1, 0, 0, 0, 0, 1))
    stored = frames_by_pyav(data)
    np.testing.assert_array_equal(decoded(clockwise), np.rot90(stored, -1, (1, 2)))
    np.testing.assert_array_equal(decoded(turned(data, (-1, 0, 0, 0, -1, 0, 0, 0, 1))), stored[:, ::-1, ::-1])
    np.testing.assert_array_equal(decoded(clockwise, orientation="ignore"), stored)


def test_a_video_that_leans_is_refused() -> None:
    leaning = turned(make_video("mp4", "mpeg4", FRAMES), (1, 1, 0, -1, 1, 0, 0, 0, 1))
    with pytest.raises(ClipInvalid, match="only quarters"):
        decoded(leaning)


def test_too_many_frames_are_refused_undecoded() -> None:
    with pytest.raises(ClipTooLarge, match="6 frames or more; at most 5"):
        peek_video(make_video("mp4", "mpeg4", FRAMES), ImageLimits(), 5, patient())


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4")])
def test_frames_are_within_the_limits_of_images(container: str, codec: str) -> None:
    data = make_video(container, codec, FRAMES)
    assert decoded(data, ImageLimits(max_pixels=48 * 64)).shape == (6, 48, 64, 3)
    with pytest.raises((ImageTooLarge, ClipInvalid)):
        decoded(data, ImageLimits(max_pixels=48 * 64 - 1))
    with pytest.raises(ImageTooLarge, match="64 pixels along one side"):
        decoded(data, ImageLimits(max_side=63))


def test_the_time_for_one_clip_is_bounded() -> None:
    with pytest.raises(ClipTooLarge, match="took more than 2 seconds"):
        peek_video(make_video(), ImageLimits(), 256, Patience(2, lambda: True, began=monotonic() - 3))
    with pytest.raises(ClientGone):
        peek_video(make_video(), ImageLimits(), 256, Patience(2, lambda: False))


@pytest.mark.parametrize(("container", "codec"), [("mp4", "mpeg4"), ("webm", "libvpx-vp9"), ("avi", "mjpeg")])
def test_what_is_cut_off_never_gives_fewer_frames(container: str, codec: str) -> None:
    data = make_video(container, codec, FRAMES, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    for end in range(12, len(data), max(1, len(data) // 80)):
        with pytest.raises((ClipInvalid, FormatNotAllowed)):
            decoded(data[:end])


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx"), ("avi", "mjpeg")])
def test_damage_is_one_clips_own(container: str, codec: str) -> None:
    data = make_video(container, codec, FRAMES, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    chance, outcomes = random.Random(3), Counter[str]()
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        try:
            outcomes[str(decoded(bytes(damaged)).shape[1:])] += 1
        except ServiceError as error:
            outcomes[error.slug] += 1
    assert outcomes["clip-invalid"] > 10
    assert outcomes.keys() <= {
        *("clip-invalid", "clip-too-large", "format-not-allowed", "image-too-large"),
        *("(48, 64, 3)", "(64, 48, 3)"),
    }


def test_sound_alone_is_no_clip() -> None:
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(ClipInvalid, match="has no video in it"):
        decoded(buffer.getvalue())


def test_sound_beside_the_video_does_no_harm() -> None:
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = output.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        output.mux(audio.encode(frame))
        for picture in FRAMES:
            output.mux(video.encode(av.VideoFrame.from_image(picture)))
        output.mux([*audio.encode(), *video.encode()])
    data = buffer.getvalue()
    np.testing.assert_array_equal(decoded(data), frames_by_pyav(data))


def test_codecs_that_are_not_listed_stay_out_of_reach() -> None:
    data = make_video("avi", "huffyuv", FRAMES, "yuv422p")
    with pytest.raises((FormatNotAllowed, ClipInvalid)):
        decoded(data)


def test_other_files_are_no_video() -> None:
    playlists = [b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"]
    for data in (make_file("JPEG"), make_file("AVIF"), make_file("WEBP"), b"", *playlists):
        assert video_format(data) is None
    for data in playlists:
        with pytest.raises(FormatNotAllowed, match=r"the clip is of no allowed format .* MP4, Matroska, AVI"):
            decoded(data)


def test_without_pyav_a_video_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_video()
    monkeypatch.setitem(sys.modules, "av", None)  # what an import finds where it is not installed
    with pytest.raises(FormatNotAllowed, match=r"needs PyAV: pip install 'augserve\[video\]'") as caught:
        decoded(data)
    assert caught.value.status == 415
    assert caught.value.members["field"] == "clip"
