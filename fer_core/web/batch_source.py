"""What a batch reads: its files by their names, zips unpacked, without what would harm or could not be read anyway."""

import os
import re
import shutil
import zipfile
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO

from fer_core.data.archive import entry_name
from fer_core.data.folder_names import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_hidden
from fer_core.data.picture_header import HEAD_BYTES, PICTURES_READ, is_picture
from fer_core.data.unpacking import UNPACKING_ERRORS, check_zip
from fer_core.errors import DatasetError, FerError
from fer_core.store.files import full_disk_named
from fer_core.web.batch import MOST_FILES, Batch, safe_name
from fer_core.web.problems import RequestError
from fer_core.web.uploads import check_decodable

_CHUNK = 2**20
_ENCRYPTED = 1
_BYTES_OF_PIXEL = 4


class TooLargeError(FerError):
    """A batch unpacks to more than it may have."""


def prepare_source(batch: Batch, *, most_bytes: int, most_pixels: int) -> dict[str, str]:
    """Makes the source folder of a batch whose files are all here, and returns what was left out, and why.

    Made beside its place and put there in one instant, so that it may be made again after a kill.

    Raises TooLargeError for a zip with too much in it, DiskFullError.
    """
    folder = batch.folder / ".source"
    making = _Making(folder, most_bytes=most_bytes, most_pixels=most_pixels)
    try:
        with full_disk_named(batch.source):
            for number, file in enumerate(batch.about.files):
                making.add(batch.incoming / str(number), file.name)
    except FerError:
        shutil.rmtree(folder)  # makes room for saying what is wrong
        raise
    return making.left_out


def put_in_place(batch: Batch) -> None:
    """Ends what `prepare_source` began, and forgets the files as they came."""
    (batch.folder / ".source").rename(batch.source)
    shutil.rmtree(batch.incoming)


class _Making:
    """A source folder that is being made."""

    def __init__(self, folder: Path, *, most_bytes: int, most_pixels: int):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._folder, self._most_pixels = folder, most_pixels
        self._bytes_left, self._files_left = most_bytes, MOST_FILES
        self._names: set[str] = set()
        self.left_out: dict[str, str] = {}

    def add(self, path: Path, name: str) -> None:
        """Adds a file that was sent."""
        if name.lower().endswith(".zip"):
            self._add_zip(path, name)
            return
        if _is_hidden(name):
            return
        place = self._place(name)
        try:
            os.link(path, place)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, place)
        self._check(place)

    def _add_zip(self, path: Path, name: str) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                check_zip(archive, path)
                for entry in archive.infolist():
                    if not entry.is_dir() and not _is_hidden(entry.filename):
                        self._unpack(archive, entry)
        except DatasetError as error:
            self.left_out[safe_name(name)] = str(error).replace(str(path), "It")
        except UNPACKING_ERRORS as error:
            if isinstance(error, OSError) and error.errno:  # of the disk, not of the zip
                raise
            self.left_out[safe_name(name)] = "It is no zip that can be read." if path.stat().st_size else "It is empty."

    def _unpack(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        name = entry_name(entry)
        if reason := _unwanted(name) or ("It is encrypted." if entry.flag_bits & _ENCRYPTED else ""):
            self.left_out[safe_name(name)] = reason
            return
        place = self._place(name)
        try:
            with archive.open(entry) as packed, place.open("wb") as file:
                self._copy(packed, file)
        except UNPACKING_ERRORS as error:
            if isinstance(error, OSError) and error.errno:
                raise
            self._leave_out(place, "It is damaged in the zip.")
        else:
            self._check(place)

    def _copy(self, packed: BinaryIO, file: BinaryIO) -> None:
        while chunk := packed.read(_CHUNK):
            self._bytes_left -= len(chunk)
            if self._bytes_left < 0:
                raise TooLargeError("The zips unpack to more than an upload may have.", hint="Send them one by one.")
            file.write(chunk)

    def _place(self, name: str) -> Path:
        """Returns where a file of that name goes: a second one of the same name gets a number."""
        self._files_left -= 1
        if self._files_left < 0:
            hint = "Send them in several uploads."
            raise TooLargeError(f"There are more than {MOST_FILES:,} files.", hint=hint)
        whole = Path(safe_name(name))
        while any((self._folder / parent).is_file() for parent in whole.parents):
            whole = "_" / whole  # a file is called like a folder of this one
        numbered = (whole.with_name(f"{whole.stem}_{number}{whole.suffix}") for number in count(2))
        free = next(one for one in chain([whole], numbered) if str(one).casefold() not in self._names)
        # Folders too: no file may have the name of one.
        self._names.update(str(one).casefold() for one in (free, *free.parents))
        place = self._folder / free
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _check(self, place: Path) -> None:
        if reason := self._reason(place):
            self._leave_out(place, reason)

    def _leave_out(self, place: Path, reason: str) -> None:
        self.left_out[place.relative_to(self._folder).as_posix()] = reason
        place.unlink(missing_ok=True)

    def _reason(self, place: Path) -> str:
        """Returns why a file is not read, though its name may say that it can be."""
        if reason := _unwanted(place.name):
            return reason
        with place.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not head:
            return "It is empty."
        is_video = place.suffix.lower() in VIDEO_SUFFIXES
        if is_video and is_picture(head):
            return "It is a picture, though its name says that it is a video: give it another name."
        if not is_video and not is_picture(head):
            return f"It is no picture, whatever its name says. {PICTURES_READ} can be read."
        if is_video:
            return ""
        if place.stat().st_size > _BYTES_OF_PIXEL * self._most_pixels:
            return "It is too large for a picture."
        try:
            check_decodable(place.read_bytes(), most_pixels=self._most_pixels)
        except RequestError as error:
            return str(error)
        return ""


def _is_hidden(name: str) -> bool:
    return is_hidden("/".join(part for part in re.split(r"[/\\]", name) if part not in (".", "..")))


def _unwanted(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix == ".zip":
        return "It is a zip in a zip: send it by itself."
    wanted = suffix in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)
    return "" if wanted else f"It is neither a picture nor a video by its name ({suffix[:20] or 'without suffix'})."
