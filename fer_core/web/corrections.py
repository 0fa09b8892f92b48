"""Corrected faces: kept in the inbox, <label>/….png, only when a person says so, until somebody deletes them."""

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from itsdangerous import BadSignature, TimestampSigner

from fer_core.errors import ConfigError, NotFoundError, did_you_mean
from fer_core.store.files import write_atomically

SIGNED_HOURS = 24
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}\.(png|jpg|jpeg|bmp|webp)")
_LABEL = re.compile(r"[^\W_][\w -]{0,120}")


class Kept(NamedTuple):
    """A picture in the inbox."""

    label: str
    name: str
    kept_utc: str
    path: Path


def keep(inbox: Path, label: str, crop_signed: str, *, labels: Sequence[str], signer: TimestampSigner) -> Kept:
    """Writes a crop of a result page into the inbox and returns it. Its name says what is in it.

    So the same crop is kept once, however often it is sent, and under the label that was said last.

    Raises:
        ConfigError: the label is none of the model's, or the crop is not one that this server has cut out today.
        DiskFullError.
    """
    if label not in labels or not _LABEL.fullmatch(label):
        raise ConfigError(f"There is no label {label[:120]!r}.", hint=did_you_mean(label, labels))
    data = _crop(crop_signed, signer)
    path = inbox / label / f"{hashlib.sha256(data).hexdigest()[:32]}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)
    for other in inbox.glob(f"[!.]*/{path.name}"):
        if other != path:
            other.unlink(missing_ok=True)
    return _of(path)


def kept(inbox: Path) -> list[Kept]:
    """Returns the pictures in the inbox, the newest first."""
    found = [_of(path) for path in inbox.glob("[!.]*/[!.]*") if _is_ours(path)]
    return sorted(found, key=lambda one: (one.kept_utc, one.name), reverse=True)


def find(inbox: Path, label: str, name: str) -> Kept:
    """Returns a picture of the inbox. Raises NotFoundError: neither label nor name becomes a path unchecked."""
    path = inbox / label / name
    if not _LABEL.fullmatch(label) or not _NAME.fullmatch(name) or not _is_ours(path):
        raise NotFoundError(
            f"There is no picture {name[:60]!r} under {label[:120]!r}.", hint="The page of the kept faces lists them."
        )
    return _of(path)


def remove(inbox: Path, label: str, name: str) -> None:
    """Deletes a picture of the inbox. Raises NotFoundError."""
    find(inbox, label, name).path.unlink(missing_ok=True)


def _crop(crop_signed: str, signer: TimestampSigner) -> bytes:
    try:
        return base64.b64decode(signer.unsign(crop_signed, max_age=SIGNED_HOURS * 3600))
    except BadSignature:
        raise ConfigError(
            "This face was not cut out by this server, or too long ago.",
            hint="Upload the picture again: after a restart of the server, too.",
        ) from None


def _is_ours(path: Path) -> bool:
    return bool(_LABEL.fullmatch(path.parent.name) and _NAME.fullmatch(path.name)) and path.is_file()


def _of(path: Path) -> Kept:
    timestamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Kept(path.parent.name, path.name, timestamp.isoformat(), path)
