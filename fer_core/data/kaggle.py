"""The public FER-2013 data set of Kaggle, downloaded once by kagglehub (an optional extra), as a source."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from fer_core.data.folder import folder_source
from fer_core.data.listing import Source
from fer_core.errors import DatasetError

HANDLE = "msambare/fer2013/versions/1"
"""With its version: the same images for everybody, and a downloaded copy is used without asking the network."""


def kaggle_source() -> Source:
    """Returns FER-2013 from kagglehub's cache, downloading it where it is not there yet.

    Raises:
        DatasetError: kagglehub is not installed, or the download failed.
    """
    try:
        import kagglehub
    except ImportError:
        raise DatasetError(
            "--data kaggle needs kagglehub, which is not installed.", hint="pip install kagglehub"
        ) from None
    try:
        folder = Path(kagglehub.dataset_download(HANDLE))
    except (OSError, ValueError, *_failures(kagglehub.exceptions)) as error:
        raise DatasetError(
            f"FER-2013 could not be downloaded from Kaggle: {error}",
            hint="Download the zip from https://www.kaggle.com/datasets/msambare/fer2013 and give it as --data.",
        ) from None
    return replace(folder_source(folder), name="fer2013", location="kaggle")


def _failures(exceptions: ModuleType) -> tuple[type[Exception], ...]:
    """Returns kagglehub's own errors. They have no common parent."""
    return tuple(kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception))
