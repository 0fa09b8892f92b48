"""Where frames come from: `open_source` takes what a user writes. Reads pictures and this machine's cameras itself."""

import contextlib
import difflib
import os
import re
import stat
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from pathlib import Path

import cv2
import numpy as np

from fer_core.data import folder_names
from fer_core.data.face_picture import MAX_PIXELS, UnreadablePictureError, decode_picture, in_colours
from fer_core.data.picture_header import HEAD_BYTES, PICTURES_READ, is_animated, is_picture
from fer_core.errors import SourceError, did_you_mean
from fer_core.live.frame import ANSWER_SECONDS, Device, EveryFrame, Frame, NewestFrame, Source, Wait, frame_now
from fer_core.live.video import SCHEMES, open_stream, open_video_file, without_password
from fer_core.paths import checked_status

PICTURE_SUFFIXES = (*folder_names.PICTURE_SUFFIXES, *folder_names.OTHER_PICTURE_SUFFIXES)
"""Also of pictures that are not read here: they are named as skipped."""
_VIDEOS_OF_JPEGS = (".mjpeg", ".mjpg")
_PICTURES_PER_SECOND = 1.0
_MOST_BYTES = 4 * MAX_PIXELS
"""No picture that may be decoded is larger, not even one that is not compressed."""
_FORMATS_HINT = "Open it in a viewer and save it as JPEG or PNG; at most 100 megapixels can be read."
NUMBERS = range(4)
"""The cameras that are looked for where the wanted one does not open."""
_WHAT_THERE_IS = "A source is a camera (0), a video, a picture, a folder of pictures, or a stream (http://… rtsp://…)."

OpenDevice = Callable[[int | str], Device | None]


def open_source(text: str) -> Source:
    """Returns the source that `text` names, after its first frame was read.

    `text`: `0` or `/dev/video0`, a video or picture file, a folder of pictures, or an address. A file or folder whose
    name is a number is written `./0`.

    Raises SourceError: nothing there, no permission, damaged, too large, refused, no answer (after some five seconds).
    """
    if text.isdecimal():
        return open_camera(int(text))
    if text.startswith(("/dev/video", "/dev/v4l/")):
        return open_camera(text)
    address = re.match(r"([a-z][a-z0-9+.-]+)://", text, re.IGNORECASE)
    if address is None:
        return _open_path(Path(text), text)
    if address[1].lower() not in SCHEMES:
        raise SourceError(
            f"{without_password(text)}: {address[1].lower()}:// cannot be read.",
            hint=f"An address begins with {', '.join(f'{name}://' for name in SCHEMES)}; a file is given by its path.",
        )
    return open_stream(text)


def _open_path(path: Path, text: str) -> Source:
    try:
        mode = path.stat().st_mode if text else 0
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise SourceError(f"{text!r} is neither a file nor a folder.", hint=_WHAT_THERE_IS)
        is_picture_or_folder = stat.S_ISDIR(mode) or path.suffix.lower() in PICTURE_SUFFIXES
        if stat.S_ISREG(mode) and is_animated(path):
            return open_video_file(path)
        if not is_picture_or_folder and path.suffix.lower() not in _VIDEOS_OF_JPEGS:
            with path.open("rb") as file:
                is_picture_or_folder = is_picture(file.read(HEAD_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError(f"There is no {path}.", hint=_near_name(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{text} cannot be read: {reason}.", hint=_WHAT_THERE_IS) from None
    return open_pictures(path) if is_picture_or_folder else open_video_file(path)


def _near_name(path: Path) -> str:
    """Returns a hint that names a file like it in the same folder, if there is one."""
    folder, names = path.parent, []
    with contextlib.suppress(OSError):
        names = [entry.name for entry in folder.iterdir()]
    if difflib.get_close_matches(path.name, names, n=1):
        return did_you_mean(path.name, names)
    return _WHAT_THERE_IS if folder.is_dir() else f"The folder {folder} is not there either."


def open_pictures(path: Path) -> EveryFrame:
    """Returns a picture, or those of a folder in their natural order, as a source; bad ones are named in `skipped`.

    Raises SourceError if none can be read. Folders in the folder are not looked into.
    """
    is_folder = path.is_dir()
    paths, skipped = _pictures_in(path) if is_folder else [path], []
    frames = _frames(paths, skipped)
    first = next(frames, None)
    if first is not None:
        rate = _PICTURES_PER_SECOND
        return EveryFrame(str(path), first, frames, rate=rate, skipped=skipped, is_still=True)
    if not paths:
        hint = "Give the folder that the pictures are in: folders in it are not read."
        raise SourceError(f"{path} has no pictures ({PICTURES_READ}).", hint=hint)
    if is_folder:
        raise SourceError(f"{path} has {len(paths)} pictures, and none can be read: {skipped[0]}.", hint=_FORMATS_HINT)
    reason = skipped[0].removeprefix(f"{path.name}: ")
    raise SourceError(f"{path} is no picture that can be read: {reason}.", hint=_FORMATS_HINT)


def picture_names(path: Path) -> list[str]:
    """Returns the names of a picture's or a folder's frames, in their order, also of pictures that cannot be read.

    Raises SourceError where the folder cannot be read.
    """
    return [_name(one) for one in (_pictures_in(path) if path.is_dir() else [path])]


def read_picture(path: Path) -> np.ndarray:
    """Returns a picture file as uint8 BGR (height, width, 3); what is transparent becomes mid-grey.

    Raises UnreadablePictureError, also where the file cannot be opened.
    """
    try:
        size = checked_status(path).st_size
        if size > _MOST_BYTES:
            raise UnreadablePictureError(f"a file of {size / 1e6:,.0f} MB")
        picture = decode_picture(path.read_bytes())
    except OSError as error:
        raise UnreadablePictureError(error.strerror or str(error)) from None
    return in_colours(picture, "bgr")


def _pictures_in(folder: Path) -> list[Path]:
    try:
        paths = [path for path in folder.iterdir() if path.name[0] != "." and _is_picture(path)]
    except OSError as error:
        hint = "Give a folder that you may read."
        raise SourceError(f"{folder} cannot be read: {error.strerror}.", hint=hint) from None

    return sorted(paths, key=lambda path: in_natural_order(path.name))


def in_natural_order(name: str) -> tuple[list[str | int], str]:
    """Returns a key by which names are sorted as people count: `frame_9` before `frame_10`."""
    parts = enumerate(re.split(r"(\d+)", name))
    return [int(part) if place % 2 else part.casefold() for place, part in parts], name


def _is_picture(path: Path) -> bool:
    if path.suffix or not path.is_file():
        return path.suffix.lower() in PICTURE_SUFFIXES
    with path.open("rb") as file:
        return is_picture(file.read(HEAD_BYTES))


def _name(path: Path) -> str:
    """Returns a file's name as text that can be written down: in a name of other bytes, they become ?."""
    return path.name.encode(errors="replace").decode()


def _frames(paths: Sequence[Path], skipped: list[str]) -> Generator[Frame, None, None]:
    for number, path in enumerate(paths):
        try:
            yield frame_now(read_picture(path), number, number / _PICTURES_PER_SECOND, _name(path))
        except UnreadablePictureError as error:
            skipped.append(f"{path.name}: {error}")


class Camera:
    """An opened camera; what it could not read is not counted by OpenCV."""

    passed_over = 0

    def __init__(self, capture: cv2.VideoCapture):
        self._capture = capture
        self.release = capture.release

    def read(self) -> np.ndarray | None:
        """Returns the next picture, uint8 BGR (height, width, 3); None when the camera is gone."""
        try:
            is_read, picture_bgr = self._capture.read()
        except cv2.error:
            return None
        return picture_bgr if is_read else None


def open_device(device: int | str) -> Camera | None:
    """Returns an opened camera, or None."""
    if "OPENCV_LOG_LEVEL" not in os.environ:  # its remarks stay out of the terminal unless they are asked for
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(device, cv2.CAP_ANY if isinstance(device, int) else cv2.CAP_V4L2)
    except cv2.error:  # no camera can have so large a number
        return None
    return Camera(capture) if capture.isOpened() else None


def open_camera(
    device: int | str,
    *,
    wait: Wait = threading.Event.wait,
    open_device: OpenDevice = open_device,
    devices: Path = Path("/dev"),
) -> NewestFrame:
    """Returns a camera as a live source. Raises SourceError, which says what was tried and what there is."""
    title = f"camera {device}" if isinstance(device, int) else device
    camera = _opened(device, title, open_device)
    if camera is None:
        raise _no_camera(device, title, open_device=open_device, devices=devices)
    return NewestFrame(title, camera, lambda: open_device(device), noun="camera", wait=wait)


def _opened(device: int | str, title: str, open_device: OpenDevice) -> Device | None:
    """Raises SourceError where the driver hangs: OpenCV cannot be told to stop, so that it is asked in a thread."""
    outcome: Future[Device | None] = Future()
    threading.Thread(target=lambda: outcome.set_result(open_device(device)), name="open", daemon=True).start()
    try:
        return outcome.result(ANSWER_SECONDS)
    except TimeoutError:
        hint = "Unplug it and plug it in again."
        raise SourceError(f"{title} does not answer within {ANSWER_SECONDS:.0f} s.", hint=hint) from None


def _no_camera(device: int | str, title: str, *, open_device: OpenDevice, devices: Path) -> SourceError:
    node = devices / f"video{device}" if isinstance(device, int) else Path(device)
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        return SourceError(
            f"You may not use {title}: no permission for {node}.",
            hint="sudo usermod -aG video $USER, then log in again. In a container: --device " + str(node),
        )
    other = next((number for number in NUMBERS if number != device and _opens(number, open_device)), None)
    names = ", ".join(f"/dev/{name}" for name in sorted(path.name for path in devices.glob("video*")))
    tried = ", ".join(map(str, dict.fromkeys([device, *NUMBERS])))
    there_is = f"there are {names}" if names else "there is no /dev/video*"
    if other is not None:
        hint = f"Camera {other} does: --source {other}"
        return SourceError(f"{title} does not open (tried {tried}; {there_is}).", hint=hint)
    return SourceError(
        f"No camera opens (tried {tried}; {there_is}).",
        hint="Plug one in, or close what uses it; or read something else: --source clip.mp4 | http://… | photo.jpg",
    )


def _opens(number: int, open_device: OpenDevice) -> bool:
    with contextlib.suppress(SourceError):
        if camera := _opened(number, "", open_device):
            camera.release()
            return True
    return False
