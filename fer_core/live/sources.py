"""Where frames come from: `open_source` takes what a user writes and returns a `Source`."""

import contextlib
import difflib
import re
import shlex
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av

from fer_core.data.picture_header import JPEG
from fer_core.errors import SourceError, did_you_mean
from fer_core.live.camera import open_camera
from fer_core.live.frame import Source
from fer_core.live.frame_sources import EveryFrame, Wait
from fer_core.live.pictures import looks_like_picture, open_folder, open_picture
from fer_core.live.stream import SCHEMES, open_stream, without_password
from fer_core.live.video import ELSEWHERE, VideoReader, every_frame
from fer_core.store.clock import Clock, utc_now

_WHAT_THERE_IS = "A source is a camera (0), a video, a picture, a folder of pictures, or a stream (http://… rtsp://…)."


def open_source(
    text: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Clock = utc_now,
    wait: Wait = threading.Event.wait,
) -> Source:
    """Returns the source that `text` names, after its first frame was read.

    Args:
        text: `0` or `/dev/video0`, a video or picture file, a folder of pictures, or an address. A file or folder whose
            name is a number is written `./0`.
        clock: seconds, as time.monotonic.
        now: the time of day.
        wait: how the pauses before a lost camera or stream is tried again are waited for.

    Raises:
        SourceError: nothing there, no permission, damaged, too large, refused, no answer (after about five seconds).
    """
    if text.isdecimal():
        return open_camera(int(text), clock=clock, now=now, wait=wait)
    if text.startswith(("/dev/video", "/dev/v4l/")):
        return open_camera(text, clock=clock, now=now, wait=wait)
    if address := re.match(r"([a-z][a-z0-9+.-]+)://", text, re.IGNORECASE):
        _check_scheme(text, address[1].lower())
        return open_stream(text, clock=clock, now=now, wait=wait)
    return _open_path(Path(text), text, clock=clock, now=now)


def _open_path(path: Path, text: str, *, clock: Callable[[], float], now: Clock) -> Source:
    try:
        mode = path.stat().st_mode if text else 0
        if stat.S_ISDIR(mode):
            return open_folder(path, clock=clock, now=now)
        if not stat.S_ISREG(mode):
            raise SourceError(f"{text!r} is neither a file nor a folder.", hint=_WHAT_THERE_IS)
        opens = open_picture if looks_like_picture(path) else open_video_file
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError(f"There is no {path}.", hint=_near_name(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{text} cannot be read: {reason}.", hint=_WHAT_THERE_IS) from None
    return opens(path, clock=clock, now=now)


def _near_name(path: Path) -> str:
    """Returns a hint that names a file like it in the same folder, if there is one."""
    folder = path.parent
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [entry.name for entry in folder.iterdir()]
    if difflib.get_close_matches(path.name, names, n=1):
        return did_you_mean(path.name, names)
    return _WHAT_THERE_IS if folder.is_dir() else f"The folder {folder} is not there either."


def _check_scheme(url: str, scheme: str) -> None:
    if scheme not in SCHEMES:
        raise SourceError(
            f"{without_password(url)}: {scheme}:// cannot be read.",
            hint=f"An address begins with {', '.join(f'{name}://' for name in SCHEMES)}; a file is given by its path.",
        )


def open_video_file(path: Path, *, clock: Callable[[], float], now: Clock) -> EveryFrame:
    """Returns a video file as a source. Raises SourceError if it cannot be opened or has no frame that can be read."""
    with path.open("rb") as file:
        head = file.read(12)
    try:
        # FFmpeg takes what stands before a colon for a protocol; an absolute path has a slash before it.
        container = av.open(str(path.absolute()))
    except av.error.FFmpegError:
        raise _refusal(path, head) from None
    if _is_guess(container, head):
        container.close()
        raise _refusal(path, head)
    return every_frame(VideoReader(container, title=str(path)), str(path), clock=clock, now=now)


def _is_guess(container: av.container.InputContainer, head: bytes) -> bool:
    """FFmpeg draws text as films of a terminal, zeros as karaoke without a codec, and finds JPEGs inside archives."""
    if container.format.name == "mjpeg":
        return not head.startswith(JPEG)
    return container.format.name in ("tty", "cdg")


def _refusal(path: Path, head: bytes) -> SourceError:
    """Returns why a file is no video, and what can be done."""
    if not head:
        finding, hint = "is empty", "Record or download it again."
    elif head.startswith((b"PK", b"\x1f\x8b", b"7z", b"Rar!")):
        finding, hint = "is an archive: unpack it, and give the folder of the pictures", "Then: --source FOLDER"
    elif head[4:8] == b"ftyp" or head.startswith(b"\x1aE\xdf\xa3") or head[8:] == b"AVI ":
        finding, hint = "is cut short or damaged, or has no pictures", ELSEWHERE
    else:
        finding = "is neither a video nor a picture that can be read"
        hint = f"See what it is: file {shlex.quote(str(path))}"
    return SourceError(f"{path} {finding}.", hint=hint)
