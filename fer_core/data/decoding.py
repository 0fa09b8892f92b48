"""Reads the pictures of a listing on several threads and passes them on in order, a bounded number at a time."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from fer_core.data.face_picture import UnreadablePictureError, gray, network_input
from fer_core.data.listing import Picture
from fer_core.resources import available_cores

_PICTURES_AT_ONCE = 64
_HELD_BYTES_AT_ONCE = 8 * 1024 * 1024
_MOST_WORKERS = 16


@dataclass(frozen=True)
class BadImage:
    """A picture that could not be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Decoded:
    """A picture as it is kept: the network's input, and what is known of it at its own size.

    `pixels` uint8 (side, side); `content` a 64-bit hash of size and gray pixels; `deviation` their standard deviation.
    """

    picture: Picture
    pixels: np.ndarray
    content: int
    deviation: float


def decode_all(pictures: Iterable[Picture], *, side: int) -> Iterator[Decoded | BadImage]:
    """Yields every picture decoded, in the listing's order; one that cannot be read as a BadImage."""
    workers = min(available_cores(), _MOST_WORKERS)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        running: deque[Future] = deque()
        try:
            for group in _grouped(pictures):
                running.append(pool.submit(_decode_group, group, side))
                if len(running) > 2 * workers:
                    yield from running.popleft().result()
            while running:
                yield from running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _grouped(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Yields groups that are worth a thread's while and do not fill the memory."""
    group: list[Picture] = []
    held = 0
    for picture in pictures:
        group.append(picture)
        held += picture.held_bytes
        if len(group) == _PICTURES_AT_ONCE or held > _HELD_BYTES_AT_ONCE:
            yield group
            group, held = [], 0
    if group:
        yield group


def _decode_group(group: list[Picture], side: int) -> list[Decoded | BadImage]:
    return [_decode(picture, side) for picture in group]


def _decode(picture: Picture, side: int) -> Decoded | BadImage:
    try:
        face_gray = np.ascontiguousarray(gray(picture.read()))
    except UnreadablePictureError as error:
        return BadImage(picture.name, str(error))
    _, deviation = cv2.meanStdDev(face_gray)
    pixels = network_input(face_gray, side=side)[:, :, 0]
    return Decoded(picture, pixels, _content_hash(face_gray), float(deviation[0, 0]))


def _content_hash(face_gray: np.ndarray) -> int:
    digest = hashlib.blake2b(np.array(face_gray.shape, "<u4").tobytes(), digest_size=8)
    digest.update(face_gray)
    return int.from_bytes(digest.digest(), "big")
