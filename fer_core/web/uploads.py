"""What comes in with a request: checked against its model, kept in memory only, looked at before it is decoded."""

import base64
import binascii
import io
import re
from collections.abc import Callable, Sequence
from typing import IO, Any, TypeVar

import numpy as np
from flask import Flask, Request, request
from pydantic import BaseModel, ValidationError

from fer_core.data.face_picture import UnreadablePictureError, decode_picture
from fer_core.data.picture_header import JPEG, PICTURES_READ, bytes_per_pixel, declared_size
from fer_core.web.problems import RequestError

Body = TypeVar("Body", bound=BaseModel)

MOST_PICTURES = 32
"""In one request."""
LARGEST_TOGETHER = 2
"""All pictures of a request may have as many pixels as so many of the largest: each is decoded while others wait."""
_MOST_SCANS = 100
"""Of a JPEG: a progressive one has about ten; thousands of empty ones cost minutes."""
_SCANS_OF_LARGEST = 16
"""Of a JPEG with as many pixels as may be: each scan may cost as much as the picture itself."""
_BYTES_OF_PIXEL = 4
"""In the largest picture. One of 16 bits for each channel takes twice as much memory, and so has half of the pixels."""
_START_OF_SCAN = b"\xff\xda"
_DATA_ADDRESS = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
_BY_CURL = "Send it as multipart field `image`; with curl: -F image=@face.jpg (the @ sends the file itself)."


class MemoryRequest(Request):
    """A request whose files stay in memory: Werkzeug would put larger ones on the disk."""

    max_form_parts = 500

    def _get_file_stream(self, *about: Any, **more: Any) -> IO[bytes]:
        return io.BytesIO()


def limit_uploads(app: Flask, *, most_bytes: int) -> None:
    """Refuses larger requests (413), and keeps what comes in off the disk."""
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = most_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = most_bytes


def json_body(model: type[Body]) -> Body:
    """Returns the JSON body of the request. Raises RequestError (400) that names what is wrong."""
    return _checked(lambda: model.model_validate_json(request.get_data()))


def form_fields(model: type[Body]) -> Body:
    """Returns the fields of the form in the request. Raises RequestError (400) that names what is wrong."""
    return _checked(lambda: model.model_validate(request.form.to_dict()))


def query_fields(model: type[Body]) -> Body:
    """Returns what stands behind the ? of the address. Raises RequestError (400) that names what is wrong."""
    return _checked(lambda: model.model_validate(request.args.to_dict()))


def _checked(read: Callable[[], Body]) -> Body:
    try:
        return read()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        hint = "/api/v1/openapi.json says what is understood."
        raise RequestError(400, f"{place}: {first['msg']}.", hint=hint) from None


def sent_files(*, most: int = MOST_PICTURES) -> list[tuple[str, bytes]]:
    """Returns names and contents of the request's files `image`. Raises RequestError (400) for none, or too many."""
    sent = [(file.filename or "", file.stream.read()) for file in request.files.getlist("image")]
    files = [(name, data) for name, data in sent if name or data]
    if not files and "image" in request.form:
        raise RequestError(400, "The field `image` came as text, not as a file.", hint=_BY_CURL)
    if not files:
        raise RequestError(400, "There is no picture in the request.", hint=_BY_CURL)
    if len(files) > most:
        hint = f"Send at most {most} at a time."
        raise RequestError(400, f"There are {len(files)} pictures in the request.", hint=hint)
    return files


def from_base64(text: str) -> bytes:
    """Returns the bytes of a picture as base64: in lines or one, URL-safe, unpadded, with `data:…;base64,` before it.

    Raises RequestError (400).
    """
    plain = "".join(_DATA_ADDRESS.sub("", text, count=1).split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        hint = "Encode the file's bytes as base64, not its name."
        raise RequestError(400, f"The picture is no base64: {error}.", hint=hint) from None


def check_together(files: Sequence[bytes], *, most_pixels: int) -> None:
    """Raises RequestError (413) where pictures have too many pixels together; nothing is decoded for it.

    Those that are too large by themselves do not count: `decoded` refuses them, and the others are read.
    """
    most = LARGEST_TOGETHER * most_pixels
    pixels = sum(pixels for data in files if (pixels := _weighed_pixels(data)) <= most_pixels)
    if pixels > most:
        have = f"The {len(files)} pictures have {pixels / 1e6:,.0f} megapixels together (of 16 bits, they count twice)"
        hint = "Send fewer at a time, or smaller ones; 1,000 pixels across are enough for faces."
        raise RequestError(413, f"{have}; at most {most / 1e6:g} are read at a time.", hint=hint)


def _weighed_pixels(data: bytes) -> int:
    """Returns what a file declares; where a pixel takes more than usual, as many as would take so much."""
    width, height = declared_size(data) or (0, 0)
    return width * height * max(_BYTES_OF_PIXEL, bytes_per_pixel(data)) // _BYTES_OF_PIXEL


def check_decodable(data: bytes, *, most_pixels: int) -> None:
    """Raises RequestError (400, 413) for a picture that would take more memory or time than `most_pixels`."""
    width, height = declared_size(data) or (0, 0)
    if _weighed_pixels(data) > most_pixels:
        most = most_pixels * _BYTES_OF_PIXEL / max(_BYTES_OF_PIXEL, bytes_per_pixel(data)) / 1e6
        problem = f"The picture has {width:,} x {height:,} pixels; at most {most:g} megapixels of it are read."
        raise RequestError(413, problem, hint="Send a smaller one; 1,000 pixels across are enough for faces.")
    scans = data.count(_START_OF_SCAN) if data.startswith(JPEG) else 0
    if width and (scans > _MOST_SCANS or scans * width * height > _SCANS_OF_LARGEST * most_pixels):
        raise RequestError(400, "The picture cannot be read: it has far too many scans.", hint="Save it anew.")


def decoded(data: bytes, *, most_pixels: int) -> np.ndarray:
    """Returns the picture, uint8, gray, BGR or BGRA. Raises RequestError (400, 413), before it is decoded if it can."""
    check_decodable(data, most_pixels=most_pixels)
    try:
        return decode_picture(data)
    except UnreadablePictureError as error:
        hint = f"Send a {PICTURES_READ} picture."
        raise RequestError(400, f"The picture cannot be read: {error}.", hint=hint) from None
