"""Whether a file can be written, found out before there is anything to write."""

import os
import shlex
import tempfile
from pathlib import Path

from fer_core.errors import ConfigError
from fer_core.store.files import DiskFullError


def check_output(path: Path, *, suffixes: tuple[str, ...], overwrite: bool) -> None:
    """Raises ConfigError if `path` has none of the suffixes or cannot be written, and leaves the disk as it was.

    A file that is there and not empty is refused unless `overwrite`: a recording cannot be made again, and the file may
    be the very one that is read.
    """
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"{path} cannot be written: its name must end in {', '.join(suffixes)}.",
            hint=f"For example {path.with_suffix(suffixes[0]) if path.name else suffixes[0]}",
        )
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}.", hint=_make(path.parent))
    if path.is_dir():
        raise ConfigError(f"{path} cannot be written: it is a folder.", hint="Give the name of a file.")
    if path.is_file() and path.stat().st_size and not overwrite:
        raise ConfigError(
            f"{path} is already there, and is not replaced.",
            hint="Give another name, or --overwrite.",
        )
    _try_to_open(path)


def make_folder(folder: Path) -> None:
    """Makes a folder, and raises ConfigError if that cannot be, or if nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"Nothing can be written in {folder}: {error.strerror}.", hint="Give another place with --folder."
        ) from None


def free_path(folder: Path, name: str) -> Path:
    """Returns folder/name, or with _2, _3 … before the suffix: nothing that is there is written over."""
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
    return path


def disk_full(path: Path) -> DiskFullError:
    """Returns the error of a file for which there is no more room."""
    return DiskFullError(
        f"No room to go on writing {path}; what was written before is kept.",
        hint="Make room on that disk, or write to another one.",
    )


def _try_to_open(path: Path) -> None:
    is_new = not path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}.", hint="Give a place that you may write to."
        ) from None
    if is_new:
        path.unlink()


def _make(folder: Path) -> str:
    command = f"md {folder}" if os.name == "nt" else f"mkdir -p {shlex.quote(str(folder))}"
    return f"Make it first: {command}"
