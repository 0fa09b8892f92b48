"""Where YuNet's file is: given, in $FER_YUNET, in the cache, or downloaded once. Opens no model and asks for nothing.

It is not part of the project: 230 kB under the MIT licence, from OpenCV's model zoo.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_core.errors import ArtifactError, SourceError
from fer_core.faces.face import DetectorOptions
from fer_core.store.files import file_sha256

_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/26cc381e4d2594bb9f47a26eb8fd96c94a13660d/models"


@dataclass(frozen=True)
class Published:
    """A file on the web whose content is known beforehand; `sha256` in hex."""

    name: str
    url: str
    sha256: str


YUNET = Published(
    name="face_detection_yunet_2026may.onnx",
    url=f"{_ZOO}/face_detection_yunet/face_detection_yunet_2026may.onnx",
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
)


def model_file(
    options: DetectorOptions, *, published: Published = YUNET, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """Returns the file: as given, by $FER_YUNET, from the cache, or downloaded into it; None where it may not be.

    Raises:
        ArtifactError: the file that was named is not there.
        SourceError: the download failed; nothing is left behind.
    """
    if options.model_file:
        return _existing(options.model_file, "--detector-model")
    if environ.get("FER_YUNET"):
        return _existing(Path(environ["FER_YUNET"]), "$FER_YUNET")
    folder = options.paths.cache / "detectors"
    cached = folder / published.name
    if _is_whole(cached, published):
        return cached
    return download(published, folder) if options.may_download else None


def download(published: Published, folder: Path) -> Path:
    """Returns the file, downloaded into the folder under its name once its checksum is right. Raises SourceError."""
    import pooch

    # It announces every download on stderr; what is said there is the command line's business.
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(published.url, f"sha256:{published.sha256}", fname=published.name, path=folder)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{published.url} could not be downloaded: {_reason(error)}.",
            hint="Fetch it by hand and name it with --detector-model or $FER_YUNET, or take --detector haar.",
        ) from error
    return folder / published.name


def _is_whole(path: Path, published: Published) -> bool:
    return path.is_file() and file_sha256(path) == published.sha256


def _existing(path: Path, named_by: str) -> Path:
    path = path.expanduser()
    if path.is_file():
        return path
    raise ArtifactError(
        f"{named_by} names {path}, which is {'no file' if path.exists() else 'not there'}.",
        hint="Name YuNet's .onnx file, take --detector yunet to have it downloaded, or --detector haar.",
    )


def _reason(error: OSError | ValueError) -> str:
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}".rstrip()
    reasons = {
        exceptions.Timeout: "the server did not answer in time",
        exceptions.ChunkedEncodingError: "it was cut off",
        exceptions.SSLError: "the server's certificate is not accepted",
        exceptions.ConnectionError: "no connection to the server",
        exceptions.RequestException: str(error),
        ValueError: "its content is not what was published (the checksum differs)",
        OSError: f"{getattr(error, 'filename', None) or 'the folder'}: {getattr(error, 'strerror', None)}",
    }
    return next(text for kind, text in reasons.items() if isinstance(error, kind))
