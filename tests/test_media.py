"""Pictures and clips, read back with Pillow."""

import importlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from lab import media
from lab.errors import LabError, UsageError


def opened(content):
    return Image.open(io.BytesIO(content))


def moving(n, height=40, width=60):
    """[n, H, W, 3] white, with a black square that goes to the right by four pixels a frame."""
    frames = np.full((n, height, width, 3), 255, np.uint8)
    for i, frame in enumerate(frames):
        frame[10:20, 4 * i:4 * i + 10] = 0
    return frames


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3)])
def test_a_png_holds_the_very_pixels(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    read = opened(media.png(image))
    assert read.format == "PNG" and np.array_equal(np.asarray(read).reshape(shape), image)


def test_how_opaque_a_picture_is_is_left_out():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    assert np.array_equal(np.asarray(media.picture(image)), image[:, :, :3])


def test_floats_are_brightness_from_0_to_1():
    assert media.pixels([[0.0, 0.5, 1.0, 7.0, -1.0, np.nan]]).tolist() == [[0, 128, 255, 255, 0, 0]]


@pytest.mark.parametrize(("image", "message"), [(np.zeros((2, 2), np.int64), "int64"),
                                                (np.zeros((2, 2, 5)), r"\[2, 2, 5\]")])
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(LabError, match=message):
        media.png(image)


def test_a_clip_keeps_frames_order_and_speed():
    clip = opened(media.gif(list(moving(8)), fps=20))
    assert (clip.format, clip.n_frames, clip.size, clip.info["loop"]) == ("GIF", 8, (60, 40), 0)
    for i in range(8):
        clip.seek(i)
        assert clip.info["duration"] == 50
        assert np.array_equal(np.asarray(clip.convert("RGB")), moving(8)[i])


@pytest.mark.parametrize(("fps", "frames", "shown"), [(30, 7, [30, 40, 30, 30, 40, 30, 30]), (50, 3, [20] * 3),
                                                      (60, 4, [30, 40])])
def test_durations_are_hundredths_that_add_up_and_never_under_20_ms(fps, frames, shown):
    clip = opened(media.gif(list(moving(frames)), fps))
    assert [(clip.seek(i), clip.info["duration"])[1] for i in range(clip.n_frames)] == shown


def test_frames_that_repeat_keep_their_time():
    clip = opened(media.gif([frame for frame in moving(2) for _ in range(3)], fps=20))
    assert clip.n_frames == 2 and clip.info["duration"] == 150


def test_a_large_clip_is_made_narrower_and_a_small_one_left_alone():
    assert opened(media.gif(moving(2, 400, 600), 30)).size == (320, 213)
    assert opened(media.gif(moving(2, 400, 600), 30, width=100)).size == (100, 67)
    assert opened(media.gif(moving(2), 30)).size == (60, 40)


def test_a_clip_of_250_frames_is_small():
    assert len(media.gif(moving(250, 400, 600 + 1000)[:, :, :600], 50)) < 500_000


@pytest.mark.parametrize(("frames", "fps"), [([], 30), (moving(1), 0)])
def test_a_clip_needs_frames_and_a_speed(frames, fps):
    with pytest.raises(LabError, match="a clip needs"):
        media.gif(frames, fps)


def test_a_histogram_counts_what_is_finite():
    found = json.loads(media.histogram([0.0, 1.0, 4.0, np.inf], bins=2))                  # [0, 2) holds two, [2, 4] one
    assert found == {"counts": [2, 1], "edges": [0.0, 2.0, 4.0], "sum": 5.0, "sum_squares": 17.0}
    with pytest.raises(LabError, match="finite"):
        media.histogram([np.nan])


def test_files_are_found_by_name_and_count(tmp_path):
    assert list(media.placed(tmp_path)) == []
    paths = [media.place(tmp_path, "eval/episode", count, ".gif") for count in (1000, 20)]
    for path in paths:
        path.write_bytes(b"x")
    (tmp_path / "media" / "readme.txt").write_text("by hand")
    assert list(media.placed(tmp_path)) == [(20, "eval/episode", paths[1]), (1000, "eval/episode", paths[0])]
    assert paths[1] == tmp_path / "media/eval/episode/000000000020.gif"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")         # imageio leaves its pipes open
def test_an_mp4_is_written_with_even_sides(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    pytest.importorskip("imageio_ffmpeg")
    media.mp4(moving(5, 41, 63), tmp_path / "clip.mp4", fps=20)
    assert imageio.imread(tmp_path / "clip.mp4").shape == (5, 40, 62, 3)


def test_mp4_without_imageio_names_what_to_install(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UsageError, match=r'pip install "pluglab\[video\]"'):
        media.mp4(moving(1), tmp_path / "clip.mp4", fps=20)
