"""Cameras of this machine, by number or device name."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from fer_core.errors import SourceError
from fer_core.live.prediction_thread import ANSWER_SECONDS, NewestFrame, Wait, within
from fer_core.live.video_capture import VideoCapture, open_capture
from fer_core.store.clock import Clock, utc_now

NUMBERS = range(4)
"""The cameras that are looked for where the wanted one does not open."""

Device = int | str
OpenDevice = Callable[[Device], VideoCapture | None]


def open_device(device: Device) -> VideoCapture | None:
    """Returns an opened camera, or None."""
    return open_capture(device, cv2.CAP_ANY if isinstance(device, int) else cv2.CAP_V4L2, title=_title(device))


def open_camera(
    device: Device,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Clock = utc_now,
    wait: Wait = threading.Event.wait,
    open_device: OpenDevice = open_device,
    devices: Path = Path("/dev"),
) -> NewestFrame:
    """Returns a camera as a live source. Raises SourceError, which says what was tried and what there is."""
    title = _title(device)
    late = SourceError(
        f"{title} does not answer within {ANSWER_SECONDS:.0f} s.", hint="Unplug it and plug it in again."
    )
    capture = within(ANSWER_SECONDS, lambda: open_device(device), late=late)
    if capture is None:
        raise _no_camera(device, title, open_device=open_device, devices=devices)
    return NewestFrame(title, capture, lambda: open_device(device), noun="camera", clock=clock, now=now, wait=wait)


def _no_camera(device: Device, title: str, *, open_device: OpenDevice, devices: Path) -> SourceError:
    node = devices / f"video{device}" if isinstance(device, int) else Path(device)
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        return SourceError(
            f"You may not use {title}: no permission for {node}.",
            hint="sudo usermod -aG video $USER, then log in again. In a container: --device " + str(node),
        )
    others = [number for number in NUMBERS if number != device and _opens(number, open_device)]
    names = sorted(path.name for path in devices.glob("video*"))
    tried = ", ".join(map(str, dict.fromkeys([device, *NUMBERS])))
    there_is = f"there are {', '.join(f'/dev/{name}' for name in names)}" if names else "there is no /dev/video*"
    if others:
        return SourceError(
            f"{title} does not open (tried {tried}; {there_is}).",
            hint=f"Camera {others[0]} does: --source {others[0]}",
        )
    return SourceError(
        f"No camera opens (tried {tried}; {there_is}).",
        hint="Plug one in, or close what uses it; or read something else: --source clip.mp4 | http://… | photo.jpg",
    )


def _opens(number: int, open_device: OpenDevice) -> bool:
    """Returns whether a camera opens before long: a driver may hang."""
    try:
        capture = within(ANSWER_SECONDS, lambda: open_device(number), late=SourceError(""))
    except SourceError:
        return False
    if capture is not None:
        capture.release()
    return capture is not None


def _title(device: Device) -> str:
    return f"camera {device}" if isinstance(device, int) else device
