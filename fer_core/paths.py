"""Where things lie: folders of models, history, cache, state, inbox and images, from flags and the environment."""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from fer_core.errors import DatasetError

USUAL_FOLDERS = ("data", "data_train")
SAMPLE_HINT = "To try it on drawn faces: python train_emotion_model.py --data sample"


@dataclass(frozen=True)
class Paths:
    """The folders that a program works with. Nothing is created by naming them."""

    models: Path
    history: Path
    cache: Path
    state: Path
    inbox: Path

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ, *, models: Path | None = None, history: Path | None = None
    ) -> "Paths":
        """Returns the folders: as given, else by $FER_MODELS_DIR and the like, else in the working directory."""
        models = Path(models or environ.get("FER_MODELS_DIR") or "models")
        return cls(
            models=models,
            history=Path(history or environ.get("FER_HISTORY_DIR") or "history"),
            cache=Path(environ.get("FER_CACHE_DIR") or platformdirs.user_cache_dir("fer-workbench")),
            state=Path(environ.get("FER_STATE_DIR") or models / ".jobs"),
            inbox=Path(environ.get("FER_INBOX") or Path("data", "inbox")),
        )


def expanded(name: str) -> Path:
    """Returns the path of a name that may begin with ~; the ~ of a user whom this machine does not know stays."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 (the method of Path raises there)


_KINDS = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def checked_status(path: Path) -> os.stat_result:
    """Returns the status of a regular file or a folder, also behind links. Opens nothing.

    Raises OSError, for whoever reads to word: it is missing, or a device, a pipe or a socket (`strerror` says so).
    """
    try:
        status = path.stat()
    except ValueError:
        raise OSError(errno.EINVAL, "no file has a NUL character in its name") from None
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            raise OSError(errno.EINVAL, f"it is {name}, neither a file nor a folder")
    return status


def find_source(data: str | None, environ: Mapping[str, str]) -> str:
    """Returns what to load: `data`, else $FER_DATA, ./data or ./data_train, whichever is there first.

    Raises:
        DatasetError: there is none of them. The folder of collected corrections ($FER_INBOX) alone makes no ./data.
    """
    given = data or environ.get("FER_DATA")
    if given:
        return given
    inbox = Paths.from_environment(environ).inbox
    for folder in map(Path, USUAL_FOLDERS):
        if _holds_something(folder, inbox):
            return str(folder)
    raise DatasetError(
        "No --data was given, $FER_DATA is not set, and there is no "
        f"{' or '.join('./' + name for name in USUAL_FOLDERS)} with images.",
        hint=SAMPLE_HINT,
    )


def _holds_something(folder: Path, inbox: Path) -> bool:
    if not folder.is_dir():
        return False
    return any(not entry.name.startswith(".") and entry.resolve() != inbox.resolve() for entry in folder.iterdir())
