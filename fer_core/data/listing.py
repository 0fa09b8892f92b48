"""What every source of images hands to the decoder: `Picture`s, each of which can be read on any thread."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

ALL_IMAGES = "all images"
"""The part of every image of a source that is not split into train and test."""
MORE_IMAGES = "more images"
"""The part of the images that were added to a source: they train and validate, and never test."""


@dataclass(frozen=True)
class Picture:
    """One image of a source, not read yet.

    `read` returns uint8 gray, BGR or BGRA of any size, or raises UnreadablePictureError.
    `held_bytes` is what it keeps in memory until it is read (a picture out of a stream; otherwise 0).
    """

    name: str
    part: str
    label: str
    read: Callable[[], np.ndarray]
    held_bytes: int = 0


@dataclass(frozen=True)
class Listing:
    """The images of an opened source; `count` is None where only reading them tells."""

    pictures: Iterable[Picture]
    count: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Images that can be loaded.

    `name` and `location` are for people; `place` tells sources apart; `identity` changes whenever an image changes and
    is found without decoding or unpacking.
    """

    name: str
    location: str
    place: str
    identity: str
    open: Callable[[], AbstractContextManager[Listing]]
