"""Sources with an end: video files, pictures and folders. And everything that is none, in two lines."""

import contextlib
import os
import re
import struct
import sys
import tracemalloc
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from fer_core.data.face_picture import BACKGROUND, on_background
from fer_core.errors import SourceError
from fer_core.live.frame import Frame, Source
from fer_core.live.sources import open_source, picture_names

WAIT_SECONDS = 10.0


@pytest.fixture
def clips(test_data) -> Path:
    return test_data / "faces"


def read_all(path: Path | str) -> tuple[Source, list[Frame]]:
    """Returns a source that ends, closed, and all its frames."""
    found = []
    with contextlib.closing(open_source(str(path))) as source:
        while not source.ended:
            frame = source.read(WAIT_SECONDS)
            found += [] if frame is None else [frame]
    return source, found


def grey(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def save_clip(path: Path, frames: int, *, rate: float = 25.0) -> Path:
    """Writes a video of noise, so that every frame is a JPEG of its own size."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    noise = np.random.default_rng(1)
    for _ in range(frames):
        writer.write(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def refusal(text: str | Path) -> SourceError:
    """Returns the error of a source that cannot be opened; it and its hint are one line each."""
    with pytest.raises(SourceError) as caught:
        open_source(str(text)).close()
    assert caught.value.hint
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    return caught.value


@pytest.mark.parametrize(
    ("name", "frames", "rate", "size"),
    [
        ("single_face.mp4", 72, 30.0, (640, 360)),
        ("single_face_2.mp4", 472, 23.976, (640, 360)),
        # Its header promises 98 frames at 23.67 a second; an edit list takes three away.
        ("no_face.mp4", 95, 24.0, (960, 540)),
    ],
)
def test_every_frame_of_a_video_comes_once_and_in_order(clips, name, frames, rate, size):
    source, read = read_all(clips / name)
    assert (source.is_live, source.is_still, source.size) == (False, False, size)
    assert source.rate == pytest.approx(rate, abs=0.001)
    assert [frame.number for frame in read] == list(range(frames))
    assert [frame.seconds for frame in read] == pytest.approx([place / rate for place in range(frames)], abs=0.002)
    assert {frame.picture_bgr.shape for frame in read} == {(size[1], size[0], 3)}
    assert source.ended and source.skipped == [] and source.dropped == 0 and source.message == ""


def save_with_pyav(path: Path, stamps: Iterable[int], *, codec="libx264", format="yuv420p", **options) -> Path:
    """Writes a video whose frames are shown at these milliseconds; the left half is white, the right half black."""
    picture = grey(0)
    picture[:, :32] = 255
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, format
        stream.codec_context.time_base = Fraction(1, 25 if codec == "mpeg2video" else 1000)
        for stamp in stamps:
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=format)
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "fragments.mp4"])
@pytest.mark.parametrize("stamps", [[0, 40, 400, 4500], [*range(0, 2000, 33), *range(2000, 4000, 200)]])
def test_the_time_stamps_tell_when_frames_are_shown_and_holes_in_them_are_no_missing_frames(tmp_path, name, stamps):
    options = {"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else {}
    source, frames = read_all(save_with_pyav(tmp_path / name, stamps, **options))
    assert [frame.number for frame in frames] == list(range(len(stamps)))
    assert [frame.seconds for frame in frames] == pytest.approx([stamp / 1000 for stamp in stamps], abs=0.001)
    assert source.skipped == []


def test_without_time_stamps_and_at_1000_frames_a_second_nothing_is_missing(tmp_path):
    without = save_with_pyav(tmp_path / "clip.mpg", range(0, 4000, 40), codec="mpeg2video")
    fast = save_clip(tmp_path / "clip.avi", 100, rate=1000.0)
    for path, rate in ((without, 25), (fast, 1000)):
        source, frames = read_all(path)
        assert [frame.number for frame in frames] == list(range(100))
        assert [frame.seconds for frame in frames] == pytest.approx([place / rate for place in range(100)], abs=0.001)
        assert source.skipped == []


@pytest.mark.parametrize(
    ("matrix", "bright"), [((0, 1, -1, 0), "top"), ((-1, 0, 0, -1), "right"), ((0, -1, 1, 0), "bottom")]
)
def test_a_video_that_says_how_it_was_held_is_turned_upright(tmp_path, matrix, bright):
    path = save_with_pyav(tmp_path / "clip.mp4", range(0, 200, 40))
    data, (a, b, c, d) = path.read_bytes(), matrix
    track, upright = data.index(b"tkhd"), struct.pack(">5i", 0x10000, 0, 0, 0, 0x10000)
    place = data.index(upright, track)
    turned = struct.pack(">5i", a << 16, b << 16, 0, c << 16, d << 16)
    path.write_bytes(data[:place] + turned + data[place + len(upright) :])
    source, frames = read_all(path)
    picture = frames[0].picture_bgr[:, :, 0] > 128
    assert source.size == picture.shape[::-1] == ((64, 48) if bright == "right" else (48, 64))
    half = {"top": picture[:28], "bottom": picture[36:], "right": picture[:, 36:]}[bright]
    assert half.all() and picture.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("codec", "format"), [("libx264", "yuv420p10le"), ("ffv1", "gray10le")])
def test_ten_bits_a_colour_are_read(tmp_path, codec, format):
    path = save_with_pyav(tmp_path / "clip.mkv", [0, 40], codec=codec, format=format)
    frame = read_all(path)[1][0]
    assert frame.picture_bgr.dtype == np.uint8
    assert frame.picture_bgr[24, 8].min() > 245 and frame.picture_bgr[24, 56].max() < 10


def test_after_close_a_source_has_ended_and_its_file_is_closed(clips):
    def is_open() -> bool:
        return any(file.path.endswith("single_face.mp4") for file in psutil.Process().open_files())

    source = open_source(str(clips / "single_face.mp4"))
    assert is_open()
    source.close()
    source.close()
    assert source.ended and source.read(WAIT_SECONDS) is None
    assert not is_open()


def test_damaged_frames_of_a_video_are_skipped_and_named(tmp_path):
    path = save_clip(tmp_path / "clip.avi", 40)
    data = bytearray(path.read_bytes())
    frames = [place.start() for place in re.finditer(b"00dc....\xff\xd8", data, re.DOTALL)]
    for damaged in (7, 20, 21):
        start, size = frames[damaged] + 8, struct.unpack_from("<I", data, frames[damaged] + 4)[0]
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
    source, frames = read_all(path)
    assert [frame.number for frame in frames] == [number for number in range(40) if number not in (7, 20, 21)]
    assert source.skipped == [
        "frame 7 (0.32 s): damaged or missing",
        "frames 20 to 21 (0.88 s): damaged or missing",
    ]


def test_a_damaged_frame_of_h264_is_skipped_and_named(tmp_path):
    path = save_with_pyav(tmp_path / "clip.mp4", range(0, 1600, 40))
    with av.open(str(path)) as container:
        places = {packet.pts: (packet.pos, packet.size) for packet in container.demux(video=0) if packet.size}
    data, (start, size) = bytearray(path.read_bytes()), places[sorted(places)[30]]
    data[start + 5 : start + size] = bytes(size - 5)
    path.write_bytes(data)
    source, frames = read_all(path)
    assert [frame.number for frame in frames] == [number for number in range(40) if number != 30]
    assert source.skipped == ["frame 30 (1.24 s): damaged or missing"]


def test_a_video_that_is_cut_short_is_read_as_far_as_it_goes_and_says_so(clips, tmp_path):
    whole = (clips / "single_face_2.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    source, frames = read_all(tmp_path / "cut.mp4")
    assert 100 < len(frames) < 400
    assert source.skipped[-1] == f"frames {frames[-1].number + 1} to 471 at the end: damaged, or the video is cut short"


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="File names are text there.")
@pytest.mark.parametrize("name", ["file:clip 1.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_a_name_with_a_colon_is_no_protocol_and_one_that_is_no_text_can_be_read(tmp_path, monkeypatch, name):
    save_with_pyav(tmp_path / "clip.mp4", range(0, 400, 40)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read_all(name)[1]) == 10


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.bmp", "a.webp", "a.avif", "a.tiff", "a.gif", "photo", "clip.mp4"]
)
def test_a_picture_is_a_source_of_one_frame_whatever_its_name(tmp_path, name):
    suffix = Path(name).suffix
    Image.fromarray(grey(90)).save(tmp_path / name, "AVIF" if suffix in ("", ".mp4") else None)
    source, (frame,) = read_all(tmp_path / name)
    assert (source.is_still, source.is_live, source.size, source.rate) == (True, False, (64, 48), 1.0)
    assert (frame.name, frame.number, frame.seconds) == (name, 0, 0.0)
    assert abs(frame.picture_bgr.astype(int) - 90).max() <= 2


def test_gray_and_transparent_pictures_become_colour_on_mid_grey(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), np.full((48, 64), 70, np.uint8))
    clear = np.zeros((48, 64, 4), np.uint8)
    clear[:24] = (10, 20, 30, 255)
    cv2.imwrite(str(tmp_path / "2.png"), clear)
    _, (gray, half) = read_all(tmp_path)
    assert gray.picture_bgr.shape == (48, 64, 3) and (gray.picture_bgr == 70).all()
    assert half.picture_bgr[0, 0].tolist() == [10, 20, 30] and half.picture_bgr[40, 0].tolist() == [128] * 3


def test_a_transparent_picture_is_the_same_in_bands_of_rows_as_all_at_once_and_takes_little_memory():
    picture = np.random.default_rng(5).integers(0, 256, (2000, 2000, 4), dtype=np.uint8)
    tracemalloc.start()
    result = on_background(picture[:, :, :3], picture[:, :, 3:])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * result.nbytes + 10 * 2**20
    opacity = picture[:, :, 3:].astype(np.float32) / 255
    assert np.array_equal(result, np.rint(picture[:, :, :3] * opacity + BACKGROUND * (1 - opacity)))


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="File names are text there.")
def test_a_file_name_that_is_no_text_can_be_written_down(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(cv2.imencode(".png", grey(10))[1].tobytes())
    assert [read_all(source)[1][0].name for source in (path, tmp_path)] == ["caf?.png"] * 2
    assert picture_names(tmp_path) == ["caf?.png"]


def test_a_folder_gives_its_pictures_in_the_order_that_people_count_and_names_the_bad_ones(tmp_path):
    names = ("frame_1.png", "frame_2.png", "Frame_10.png", "frame_9b.PNG")
    folder = tmp_path / "frames"
    (folder / "more").mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(folder / name), grey(0))
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "README").write_text("not a picture")
    (folder / "bad.png").write_bytes(b"hello, this is no picture")
    (folder / "raw.jxl").write_bytes(b"\xff\n of another kind")
    (folder / "frame_3.png").write_bytes(b"")
    source, frames = read_all(folder)
    assert [frame.name for frame in frames] == ["frame_1.png", "frame_2.png", "frame_9b.PNG", "Frame_10.png"]
    assert [frame.seconds for frame in frames] == [1.0, 2.0, 4.0, 5.0]
    assert source.skipped == [
        "bad.png: not a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF picture, or damaged",
        "frame_3.png: empty file",
        "raw.jxl: not a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF picture, or damaged",
    ]
    for name in names:
        (folder / name).unlink()
    assert "has 3 pictures, and none can be read: bad.png: not a JPEG" in str(refusal(folder))


def test_a_video_with_frames_of_more_than_100_megapixels_is_refused_before_it_fills_the_memory(tmp_path):
    (tmp_path / "bomb.y4m").write_bytes(b"YUV4MPEG2 W15000 H15000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(100_000))
    before = psutil.Process().memory_info().rss
    error = refusal(tmp_path / "bomb.y4m")
    assert "bomb.y4m has frames of 15000 x 15000 pixels, more than 100 megapixels" in str(error)
    assert psutil.Process().memory_info().rss - before < 100 * 2**20


def test_what_cannot_be_read_is_refused_with_what_it_is(clips, tmp_path, test_data):
    (tmp_path / "cut.mp4").write_bytes((clips / "single_face.mp4").read_bytes()[:100_000])
    assert "cut.mp4 is cut short or damaged, or has no pictures." in str(refusal(tmp_path / "cut.mp4"))
    archive = str(refusal(test_data / "fer2013.zip"))
    assert "is an archive: unpack it, and give the folder of the pictures" in archive
    missing = refusal(tmp_path / "clips" / "one.mp4").hint
    assert missing == f"The folder {tmp_path / 'clips'} is not there either."
    unknown = refusal("ftp://me:secret@example.org/clip.mp4")
    assert str(unknown) == "ftp://example.org/clip.mp4: ftp:// cannot be read."
    assert "http://, https://, rtsp://" in unknown.hint
    for text in ("", "/dev/null", "a" * 5000, "clip\0.mp4"):
        assert "A source is a camera (0), a video, a picture" in refusal(text).hint
    # A picture that is made of tiles is never a film of one tile.
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(5000))
    assert "photo.heic is no picture that can be read: " in str(refusal(tmp_path / "photo.heic"))
