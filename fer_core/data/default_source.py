"""Which images are meant where --data is not given: found by looking around. Imports nothing that decodes."""

from collections.abc import Mapping
from pathlib import Path

from fer_core.errors import DatasetError
from fer_core.paths import Paths

USUAL_FOLDERS = ("data", "data_train")
SAMPLE_HINT = "To try it on drawn faces: python train_emotion_model.py --data sample"


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
