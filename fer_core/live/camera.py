"""Cameras of this machine, by number or device name, read by OpenCV."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import SourceError
from fer_core.live.frame import ANSWER_SECONDS, Device, NewestFrame, Wait

NUMBERS = range(4)
"""The cameras that are looked for where the wanted one does not open."""

OpenDevice = Callable[[int | str], Device | None]


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
    capture = cv2.VideoCapture(device, cv2.CAP_ANY if isinstance(device, int) else cv2.CAP_V4L2)
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
    try:
        camera = _opened(number, "", open_device)
    except SourceError:
        return False
    if camera is not None:
        camera.release()
    return camera is not None
