"""The pages and the calls of the API, a file for each subject; what they show comes from the modules above."""

from collections.abc import Mapping
from pathlib import Path

from flask import Response, send_file

from fer_core.errors import NotFoundError


def sent(files: Mapping[str, Path], name: str, owner: str, *, saved_as: str = "") -> Response:
    """Returns one of the files of `owner`: to be shown, or to be saved under a name. Raises NotFoundError."""
    if name not in files:
        raise NotFoundError(f"{owner} has no file {name[:60]!r}.", hint="Its page lists those that it has.")
    return send_file(files[name].resolve(), as_attachment=bool(saved_as), download_name=saved_as or None)
