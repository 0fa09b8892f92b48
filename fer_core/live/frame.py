"""`Frame`: one picture of a source, and when it was read."""

from datetime import datetime
from typing import NamedTuple

import numpy as np


class Frame(NamedTuple):
    """One picture of a source.

    `picture_bgr` is uint8 (height, width, 3). `number` is its place in the source, from 0; frames that were dropped or
    could not be read are counted. `seconds` run from the source's first frame: by the container's time stamps in a
    video, by the clock in a camera or stream, one a picture in a folder. `utc` is when it was read, `read_at` the same
    by the monotonic clock. `name` is that of the file, for pictures.
    """

    picture_bgr: np.ndarray
    number: int
    seconds: float
    utc: datetime
    read_at: float
    name: str = ""
