"""What --data is: found by looking at it."""

import stat
from pathlib import Path

from fer_core.config import TrainConfig
from fer_core.data.archive import file_source
from fer_core.data.default_source import SAMPLE_HINT
from fer_core.data.drawn import sample_source
from fer_core.data.file_kind import opener
from fer_core.data.folder import folder_source
from fer_core.data.kaggle import kaggle_source
from fer_core.data.listing import Source
from fer_core.data.regular_file import checked_status
from fer_core.errors import DatasetError
from fer_core.paths import Paths


def open_source(data: str, config: TrainConfig, paths: Paths) -> Source:
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
        if stat.S_ISDIR(checked_status(path).st_mode):
            return folder_source(path, left_out=paths.inbox)
        return file_source(path, opener(path))
    except FileNotFoundError:
        raise DatasetError(f"There is no {data}.", hint=SAMPLE_HINT) from None
    except OSError as error:
        raise DatasetError(
            f"{data} cannot be read: {error.strerror}.", hint="Give a file or folder that you may read."
        ) from None
