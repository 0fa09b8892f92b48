"""Files on the web whose content is known beforehand: they are downloaded once, and checked."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import SourceError


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
