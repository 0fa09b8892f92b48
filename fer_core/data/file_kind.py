"""What a data file is, by its content: a zip, a tar or a table of pixels, compressed or not. Its name decides nothing
that its first bytes do not leave open."""

import zipfile
from pathlib import Path

from fer_core.data.archive import Opener, opened_tar, opened_zip
from fer_core.data.pixel_csv import looks_like_csv, opened_csv
from fer_core.data.regular_file import checked_status
from fer_core.data.tar_members import looks_like_tar
from fer_core.data.unpacking import UNPACKING_ERRORS, is_compressed, opened_unpacked
from fer_core.errors import DatasetError

_ZIP_START = b"PK"
_START_BYTES = 512


def opener(path: Path) -> Opener:
    """Returns what opens the file as a source. Raises DatasetError where it is none of these, OSError."""
    checked_status(path)
    with path.open("rb") as stream:
        start = stream.read(_START_BYTES)
    if zipfile.is_zipfile(path) or start.startswith(_ZIP_START):
        return opened_zip
    packed = is_compressed(start)
    if packed:
        start = _unpacked_start(path)
    if looks_like_tar(start):
        return opened_tar
    if looks_like_csv(start) or ".csv" in map(str.lower, path.suffixes):
        return opened_csv
    if packed or ".tar" in path.suffixes:
        return opened_tar
    raise DatasetError(
        f"{path} is no folder, zip, tar or csv of images.",
        hint="Give a folder of pictures, a zip or tar of one, or fer2013.csv.",
    )


def _unpacked_start(path: Path) -> bytes:
    try:
        with opened_unpacked(path) as stream:
            return stream.read(_START_BYTES)
    except UNPACKING_ERRORS:
        return b""  # whoever opens it says what is damaged
