"""The data sets that pages can show: which there are, and each once it has been read, in the background."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from fer_core.data.audit import Audit, audit
from fer_core.data.cache import content_hash
from fer_core.data.contents import Contents
from fer_core.data.dataset import Dataset, Unsplit, UnsplitError, load_dataset
from fer_core.data.face_picture import UnreadablePictureError, gray
from fer_core.data.sources import open_source
from fer_core.errors import ArtifactError, DatasetError, FerError, NotFoundError, printable
from fer_core.evaluation.audit_report import SUSPICIOUS, SuspiciousLabel, audit_folder, load_suspicious
from fer_core.paths import Paths, expanded, find_source
from fer_core.store.files import read_json, write_json
from fer_core.store.runs import open_run
from fer_core.web.answers import DataSetAnswer
from fer_core.web.background import Background, Work
from fer_core.web.data_choice import NO_PATHS, DataChoice, choice_of, is_allowed
from fer_core.web.run_list import RunList

SIDE = 48
"""Of the pictures as they are shown: that of nearly all networks, whose cache is used."""
MOST_REGISTERED = 200
CHANGED = "Read the data set again, and choose them again."


@dataclass(frozen=True)
class OpenedData:
    """A data set that was read. `problem` says why it cannot be trained on as it is, if it cannot."""

    choice: DataChoice
    images: Dataset | Unsplit
    audit: Audit
    problem: str = ""
    side = SIDE

    @property
    def contents(self) -> Contents:
        return self.images.contents

    @property
    def mark(self) -> str:
        """What an address of some of its images has to say, so that it never means others."""
        return self.contents.fingerprint[:16]

    @property
    def count(self) -> int:
        return len(self.contents)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where an image is, by its name."""
        return {name: position for position, name in enumerate(self.contents.names)}

    @cached_property
    def copies(self) -> list[np.ndarray]:
        """The positions of the images of each group of identical ones."""
        hashes = self.contents.hashes
        order = np.argsort(hashes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(hashes[order])) + 1)
        return [group for group in groups if len(group) > 1]

    def pixels(self, positions: np.ndarray) -> np.ndarray:
        """Returns uint8 (n, side, side)."""
        return np.asarray(self.images.pixels[self.contents.rows[positions]])

    def originals(self, positions: list[int], paths: Paths) -> dict[int, np.ndarray]:
        """Returns the faces as they are in the source, in gray: uint8 (height, width).

        Those that are as large there as in the cache are taken from it. Raises DatasetError: one is not there any more.
        """
        hashes = self.contents.hashes
        cached = zip(positions, self.pixels(np.array(positions, np.int64)), strict=True)
        faces = {position: face for position, face in cached if content_hash(face) == hashes[position]}
        wanted = {self.contents.names[position]: position for position in positions if position not in faces}
        if wanted:
            source = open_source(self.choice.data, self.choice.config(), paths)
            with source.open() as listing:
                for picture in listing.pictures:
                    if (position := wanted.get(printable(picture.name, kept=""))) is None:
                        continue
                    with suppress(UnreadablePictureError):
                        face = np.ascontiguousarray(gray(picture.read()))
                        faces |= {position: face} if content_hash(face) == hashes[position] else {}
                    if len(faces) == len(positions):
                        break
        if len(faces) < len(positions):
            missing = len(positions) - len(faces)
            raise DatasetError(f"{missing:,} of these images are not in {self.choice.name} any more.", hint=CHANGED)
        return faces


@dataclass
class DataSets:
    """The data sets of one server: those that somebody opened, those of the runs, and the usual one."""

    paths: Paths
    runs: RunList
    environ: Mapping[str, str]
    folders: tuple[Path, ...] = ()
    """Where they may lie; empty: anywhere."""
    background: Background = field(default_factory=Background)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def lines(self) -> list[DataSetAnswer]:
        """Returns all of them, those that somebody opened first."""
        opened = {choice.id for choice in self._registered()}
        return [self._line(choice, is_listed=choice.id in opened) for choice in self._known().values()]

    def find(self, data_id: str) -> DataChoice:
        """Returns one by its id. Raises NotFoundError."""
        if (choice := self._known().get(data_id)) is None:
            raise NotFoundError(f"There is no data set {data_id[:60]!r}.", hint="The page of the data sets lists them.")
        return choice

    def work(self, choice: DataChoice) -> Work:
        """Returns how far the data set is read; asked for the first time, it begins. The result is an `OpenedData`."""
        stamp = choice.stamp
        before = self.background.look(choice.id)
        if stamp is None and before is not None:  # it has vanished: what was read of it can still be shown
            stamp = before.stamp
        return self.background.get(choice.id, lambda report: _read(choice, self.paths, report), stamp=stamp)

    def place_of(self, fingerprint: str | None) -> str | None:
        """Returns where the images of that fingerprint are, if they are in a data set that was read; else None."""
        works = map(self.background.look, self._known())
        read = (work.result for work in works if work and work.result)
        return next((one.choice.data for one in read if one.contents.fingerprint == fingerprint), None)

    def opened(self, choice: DataChoice) -> OpenedData:
        """Returns what was read. Raises DatasetError: it is not read yet, or cannot be."""
        work = self.work(choice)
        if work.problem:
            raise DatasetError(work.problem, hint=work.hint)
        if not work.is_done:
            raise DatasetError(f"{choice.name} is being read: {work.progress}.", hint="Come again in some seconds.")
        return work.result

    def register(self, choice: DataChoice) -> DataChoice:
        """Adds a data set to the list, which outlives the server. Raises ArtifactError, DiskFullError."""
        with self._changing:
            others = [one for one in self._registered() if one.id != choice.id]
            self._write([choice, *others][:MOST_REGISTERED])
        return choice

    def knows(self, data_id: str | None) -> bool:
        """Returns whether there is a data set of that id."""
        return data_id in self._known()

    def unregister(self, choice: DataChoice) -> None:
        """Takes a data set off the list; nothing of it is deleted."""
        with self._changing:
            self._write([one for one in self._registered() if one.id != choice.id])
        self.background.forget(choice.id)

    def suspicious(self, opened: OpenedData) -> list[SuspiciousLabel] | None:
        """Returns the labels that `--audit-labels` found suspicious, the most suspicious first; None without one."""
        file = audit_folder(self.paths, opened.images.source) / SUSPICIOUS
        with suppress(OSError):
            return _suspicious(file.parent, opened.contents.fingerprint, file.stat().st_mtime_ns)
        return None

    @property
    def _file(self) -> Path:
        return self.paths.models / "data_sets.json"

    def _registered(self) -> list[DataChoice]:
        found = []
        with suppress(ArtifactError, TypeError):  # there is none yet, or somebody has edited it
            for one in read_json(self._file, "list of data sets"):
                with suppress(ValidationError):
                    found.append(DataChoice.model_validate(one))
        return found

    def _write(self, choices: list[DataChoice]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._file, [choice.model_dump(exclude_defaults=True) for choice in choices])

    def _known(self) -> dict[str, DataChoice]:
        """Returns by id those that the server's settings allow, each once, in the order of the list."""
        found = (*self._registered(), *self._usual(), *self._of_runs(), DataChoice(data="sample"))
        return {choice.id: choice for choice in found if is_allowed(choice.data, self.folders)}

    def _usual(self) -> Iterator[DataChoice]:
        with suppress(FerError):
            data = find_source(None, self.environ)
            yield DataChoice(data=data if data in NO_PATHS else str(expanded(data).resolve()))

    def _of_runs(self) -> Iterator[DataChoice]:
        """Yields the data sets of the runs that are still here."""
        firsts = {line.data_set: line.id for line in self.runs.lines() if line.data_set}
        for run_id in firsts.values():
            with suppress(FerError):  # a model that came with the project, or a run that is being removed
                choice = choice_of(open_run(self.paths, run_id).manifest)
                if choice is not None and choice.stamp is not None:
                    yield choice

    def _line(self, choice: DataChoice, *, is_listed: bool) -> DataSetAnswer:
        work = self.background.look(choice.id)
        status = "not read yet" if work is None else "cannot be read" if work.problem else "read"
        contents = work.result.contents if work and work.result else None
        return DataSetAnswer(
            id=choice.id,
            name=choice.name,
            source=choice.data,
            settings=choice.settings,
            status="being read" if work and not work.is_done else status,
            is_here=choice.stamp is not None,
            is_listed=is_listed,
            images=None if contents is None else len(contents),
            classes=None if contents is None else len(contents.labels),
        )


def _read(choice: DataChoice, paths: Paths, report: Callable[[str], None]) -> OpenedData:
    """Raises FerError: it cannot be read."""
    try:
        images, problem = load_dataset(choice.config(), paths, side=SIDE, report=report), ""
    except UnsplitError as error:
        images, problem = error.images, f"{error} {error.hint}"
    report(f"looking for copies among {len(images.contents):,} images")
    return OpenedData(choice, images, audit(images), problem)


@lru_cache(8)
def _suspicious(folder: Path, fingerprint: str, changed: int) -> list[SuspiciousLabel] | None:
    return load_suspicious(folder, fingerprint=fingerprint)
