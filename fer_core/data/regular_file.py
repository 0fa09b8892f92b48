"""What may be opened as data: regular files and folders. A device never ends, and a pipe may never begin."""

import errno
import os
import stat
from pathlib import Path

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
