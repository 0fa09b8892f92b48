"""Whether a file can be written, found out before there is anything to write; and what is said where it cannot be."""

import errno
import os
import shlex
import tempfile
from pathlib import Path

from fer_core.errors import ConfigError, SourceError
from fer_core.store.files import DiskFullError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_output(path: Path, *, suffixes: tuple[str, ...], overwrite: bool) -> None:
    """Raises ConfigError if `path` has none of the suffixes or cannot be written, and leaves the disk as it was."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"{path} cannot be written: its name must end in {', '.join(suffixes)}.",
            hint=f"For example {path.with_suffix(suffixes[0]) if path.name else suffixes[0]}",
        )
    if not path.parent.is_dir():
        make = f"md {path.parent}" if os.name == "nt" else f"mkdir -p {shlex.quote(str(path.parent))}"
        hint = f"Make it first: {make}"
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}.", hint=hint)
    if path.is_dir():
        raise ConfigError(f"{path} cannot be written: it is a folder.", hint="Give the name of a file.")
    check_free(path, overwrite=overwrite)
    is_new = not path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        hint = "Give a place that you may write to."
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", hint=hint) from None
    if is_new:
        path.unlink()


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises ConfigError for a folder or a file with content, unless it may be overwritten.

    A recording cannot be made again, and the file may be the very one that is read.
    """
    if not overwrite and (path.is_dir() or (path.is_file() and path.stat().st_size)):
        raise ConfigError(f"{path} is already there, and is not replaced.", hint="Give another name, or --overwrite.")


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


def write_error(path: Path, number: int | None, reason: str | None) -> DiskFullError | SourceError:
    """Returns the error of a file that cannot be written any more, by the errno and text of what was raised."""
    if number in _FULL:
        return disk_full(path)
    hint = "What was written before is kept. Is its disk still there?"
    return SourceError(f"{path} cannot be written any more: {reason}.", hint=hint)
