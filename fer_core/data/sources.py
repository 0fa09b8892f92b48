"""What --data is: found by looking at it."""

import tarfile
import zipfile
from pathlib import Path

from fer_core.config import TrainConfig
from fer_core.data.archive import Opener, file_source, opened_tar, opened_zip
from fer_core.data.default_source import SAMPLE_HINT
from fer_core.data.drawn import sample_source
from fer_core.data.folder import folder_source
from fer_core.data.kaggle import kaggle_source
from fer_core.data.listing import Source
from fer_core.data.pixel_csv import looks_like_csv, opened_csv
from fer_core.errors import DatasetError
from fer_core.places import Places

_ZIP_START, _GZIP_START, _XZ_START, _BZIP2_START = b"PK", b"\x1f\x8b", b"\xfd7zXZ", b"BZh"


def open_source(data: str, config: TrainConfig, places: Places) -> Source:
    """Returns the source that `data` names: a folder, a zip, tar or csv, 'kaggle' or 'sample'. Decodes nothing yet.

    Raises:
        DatasetError: there is no such path, or it is none of these.
    """
    if data == "sample":
        return sample_source(config.sample_per_class)
    if data == "kaggle":
        return kaggle_source()
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return folder_source(path, left_out=places.inbox)
        return file_source(path, _opener(path))
    except FileNotFoundError:
        raise DatasetError(f"There is no {data}.", hint=SAMPLE_HINT) from None
    except OSError as error:
        raise DatasetError(f"{data} cannot be read: {error.strerror}.", hint="Check its access rights.") from None


def _opener(path: Path) -> Opener:
    with path.open("rb") as stream:
        start = stream.read(512)
    if zipfile.is_zipfile(path) or start.startswith(_ZIP_START):
        return opened_zip
    if looks_like_csv(start) or path.suffix.lower() == ".csv":
        return opened_csv
    if tarfile.is_tarfile(path) or start.startswith((_GZIP_START, _XZ_START, _BZIP2_START)) or ".tar" in path.suffixes:
        return opened_tar
    raise DatasetError(
        f"{path} is no folder, zip, tar or csv of images.",
        hint="Give a folder of pictures, a zip or tar of one, or fer2013.csv.",
    )
