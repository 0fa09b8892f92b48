"""Where things lie: folders of models, history, cache, state, inbox and images, from flags and the environment.

And what comes from elsewhere: the models of the project itself, run folders in its own models/shipped, named
shipped/NAME, wherever the models folder of a user is; and files on the web whose content is known beforehand, which are
downloaded once, and checked.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import platformdirs

from fer_core.errors import DatasetError, SourceError

USUAL_FOLDERS = ("data", "data_train")
SAMPLE_HINT = "To try it on drawn faces: python train_emotion_model.py --data sample"

_OF_CHECKOUT, _OF_WHEEL = (Path(__file__).parents[1] / "models" / "shipped", Path(__file__).parent / "shipped")
SHIPPED = _OF_CHECKOUT if _OF_CHECKOUT.is_dir() else _OF_WHEEL
SHIPPED_BEST = SHIPPED / "best"  # the most accurate one: in use where nothing has been promoted
SHIPPED_NAME = "shipped/best"  # how it is named where others are named by their run's id


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


def shipped_models() -> list[Path]:
    """Returns the folders of all models that come with the project, the most accurate first."""
    found = {path.parent for path in SHIPPED.glob("[!.]*/manifest.json")}
    return sorted(found, key=lambda folder: (folder != SHIPPED_BEST, folder.name))


def shipped_folder(given: str) -> Path | None:
    """Returns the folder that a name means, with or without `shipped/`; None if no such model is there."""
    name = given.removeprefix("shipped/")
    return next((folder for folder in shipped_models() if folder.name == name), None)


def came_with_the_project(folder: Path) -> bool:
    """Whether a folder is one of the shipped ones, so that nothing in it is foreign."""
    return folder.resolve().parent == SHIPPED.resolve()


def run_name(folder: Path) -> str:
    """Returns how the model in a run's folder is named: by the run's id, or by shipped/NAME."""
    return f"shipped/{folder.name}" if came_with_the_project(folder) else folder.name


class Published(NamedTuple):
    """A file on the web whose content is known beforehand; `sha256` in hex."""

    name: str
    url: str
    sha256: str

    def is_at(self, path: Path) -> bool:
        """Returns whether a file holds this content. Raises OSError."""
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256


def fetched(published: Published, folder: Path, *, hint: str) -> Path:
    """Returns the file, downloaded into the folder under its name once its checksum is right. Raises SourceError."""
    import pooch

    # It announces every download on stderr; what is said there is the command line's business.
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(published.url, f"sha256:{published.sha256}", fname=published.name, path=folder)
    except (OSError, ValueError) as error:
        raise SourceError(f"{published.url} could not be downloaded: {_reason(error)}.", hint=hint) from error
    return folder / published.name


def _reason(error: OSError | ValueError) -> str:
    from requests import exceptions

    match error:
        case exceptions.HTTPError():
            return f"the server answered {error.response.status_code} {error.response.reason}".rstrip()
        case exceptions.Timeout():
            return "the server did not answer in time"
        case exceptions.ChunkedEncodingError():
            return "it was cut off"
        case exceptions.SSLError():
            return "the server's certificate is not accepted"
        case exceptions.ConnectionError():
            return "no connection to the server"
        case exceptions.RequestException():
            return str(error)
        case ValueError():
            return "its content is not what was published (the checksum differs)"
    return f"{error.filename or 'the folder'}: {error.strerror}"
