"""Reads one part of a study: the faces in its pictures, or in its piece of a video, as the rows of a table.

`read_video`, `read_folder` and `read_files` give such rows in Python, without a study's folder.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core import faces
from fer_core.data.face_picture import UnreadablePictureError
from fer_core.errors import ConfigError, SourceError, check_interrupted
from fer_core.faces import DETECT_EVERY, PHOTO_WIDTH
from fer_core.live.classifier import make_classifier
from fer_core.live.prediction import EmotionPredictor, Prediction
from fer_core.live.predictor import LivePredictor
from fer_core.live.sources import read_picture
from fer_core.live.video import open_reader, sampled_frames
from fer_core.paths import Paths, came_with_the_project
from fer_core.store.model_files import find_model
from fer_core.study.files import File, find_files, make_parts
from fer_core.study.identity import Embeddings, Recognizer, find_recognizer
from fer_core.study.settings import WARM_UP, FileRecord, Part, StudySettings, state_of
from fer_core.study.tables import COLUMNS

if TYPE_CHECKING:
    import pandas

WARM_UP_SECONDS = 2.0
LONGEST_UNSOUGHT_SECONDS = 0.6
"""With `fps`, faces are looked for as often as this at least: the tracker gives up who is not found for 0.7 s."""


def settled(settings: StudySettings, paths: Paths) -> StudySettings:
    """Returns the settings with a model that is found from any folder, and whole paths. Raises ArtifactError."""
    told = {"labels_file": settings.labels, "pixels": settings.pixels, "colours": settings.colours}
    model = find_model(settings.model, paths, **told)
    folder = model.run_folder
    is_named = folder and (
        came_with_the_project(folder) or folder.resolve().parent == (paths.models / "runs").resolve()
    )
    name = model.name.removeprefix("shipped/") if is_named else str(model.model.absolute())
    names = ("labels", "detector_model", "recognizer_model")
    files = {key: path.absolute() for key in names if (path := getattr(settings, key))}
    return settings.model_copy(update={"model": name, **files})


class StudyReader:
    """A model and detectors that are loaded once. For one thread."""

    def __init__(self, settings: StudySettings, paths: Paths, *, before_each: Callable[[], None] = check_interrupted):
        """`before_each` is called before each frame, and may raise.

        Raises ArtifactError, ConfigError, SourceError if model or detector cannot be used.
        """
        told = {"labels_file": settings.labels, "pixels": settings.pixels, "colours": settings.colours}
        model = find_model(settings.model, paths, **told)
        self._settings, self._before_each = settings, before_each
        self.classifier = make_classifier(model, paths, runtime=settings.runtime, prior=settings.prior)
        of_detector = {"paths": paths, "model_file": settings.detector_model}
        width = settings.detection_width
        self.detector = faces.make_detector(settings.detector, width=width, **of_detector)
        finder = faces.make_detector(settings.detector, width=width or PHOTO_WIDTH, **of_detector)
        self._recognizer = None
        if settings.identify:
            if self.detector.name != "yunet":
                raise ConfigError("--identify needs the detector yunet, which finds eyes.", hint="--detector yunet")
            self._recognizer = Recognizer(find_recognizer(paths, settings.recognizer_model))
        self._embeddings: Embeddings | None = None
        self._pictures = EmotionPredictor(finder, self.classifier, threshold=settings.threshold)

    @property
    def threshold(self) -> float:
        """A reading with less confidence is unsure."""
        given = self._settings.threshold
        return self.classifier.unsure_below if given is None else given

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its tables."""
        named = (f"emotion_{label}" if label in COLUMNS else label for label in self.classifier.labels)
        return (*COLUMNS, *named)

    def read(
        self, part: Part, *, begin: Callable[[str], bool] = lambda path: True
    ) -> tuple["pandas.DataFrame", list[FileRecord]]:
        """Returns the rows of a part, and what came of each of its files.

        A frame without a face has a row of its own, without a face.

        Args:
            begin: is called with the path before each file is opened; False: it is left out, as deadly.
        """
        import pandas

        rows: list[list[Any]] = []
        records = []
        for name, path in part.files:
            self._before_each()
            self._embeddings = None
            size, changed = state_of(path)
            began, reason, frames, with_face, seconds = len(rows), "", 0, 0, 0.0
            try:
                if not begin(path):
                    raise SourceError("reading it ended the process, each time that it was tried")
                for at, number, found, is_warm_up in self._read_file(part, Path(path)):
                    moment = [name, None if at is None else round(at, 3), number]
                    rows += self._rows(moment, found, [is_warm_up] if part.piece else [])
                    frames += not is_warm_up
                    with_face += bool(found) and not is_warm_up
                    seconds = at or 0.0
            except (SourceError, UnreadablePictureError, OSError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                del rows[began:]
            embeddings = self._embeddings.sums() if self._embeddings and not reason else {}
            counted = (0, 0, 0.0) if reason else (frames, with_face, round(seconds, 3))
            records.append(
                FileRecord(name, "failed" if reason else "read", reason, *counted, size, changed, embeddings)
            )
        columns = [*self.columns, *([WARM_UP] if part.piece else [])]
        numbers = [name for name in self.columns if name not in ("file", "label", "unsure")]
        table = pandas.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))
        return table.astype({"frame": "Int64", "person": "Int64", "unsure": "boolean"}), records

    def read_video(
        self, path: Path, *, start: float = 0.0, end: float = math.inf, warm_up: float = 0.0
    ) -> Iterator[tuple[float, int, Sequence[Prediction]]]:
        """Yields (seconds, frame number, predictions) of a video. Raises SourceError, OSError.

        `warm_up`: is read for so many seconds before `start`, too.
        """
        reader, fps = open_reader(path, threads=1), self._settings.fps
        every = DETECT_EVERY if fps is None else max(1, min(DETECT_EVERY, int(fps * LONGEST_UNSOUGHT_SECONDS)))
        settings = self._settings
        known = {"threshold": settings.threshold, "smoothing_seconds": settings.smoothing, "detect_every": every}
        predictor = LivePredictor(self.detector, self.classifier, **known)
        self._embeddings = Embeddings(self._recognizer, self.detector) if self._recognizer else None
        count = 0
        for frame in sampled_frames(reader, start=max(0.0, start - warm_up), end=end, fps=fps):
            self._before_each()
            count += 1
            predictions = predictor.read(frame)
            if self._embeddings:
                self._embeddings.observe(frame.picture_bgr, frame.seconds, predictions)
            yield frame.seconds, frame.number, predictions
        if not count and not warm_up:
            why = f"ends before second {start:g}" if start else "is cut short or damaged"
            raise SourceError(f"{path} has no frame that can be read: it {why}.")

    def read_picture(self, path: Path) -> list[Prediction]:
        """Returns the predictions for a picture, the largest face first. Raises UnreadablePictureError."""
        return self._pictures.read_picture(read_picture(path), faces=self._settings.faces)

    def _read_file(
        self, part: Part, path: Path
    ) -> Iterator[tuple[float | None, int | None, Sequence[Prediction], bool]]:
        if part.kind == "pictures":
            yield None, None, self.read_picture(path), False
            return
        end = math.inf if part.end is None else part.end
        warm_up = WARM_UP_SECONDS if part.piece else 0.0
        for seconds, number, found in self.read_video(path, start=part.start, end=end, warm_up=warm_up):
            yield seconds, number, found, seconds < part.start

    def _rows(self, moment: list[Any], found: Sequence[Prediction], last: list[bool]) -> Iterator[list[Any]]:
        """Yields rows that begin with the cells of a moment and end with the last ones."""
        labels = self.classifier.labels
        for one in found:
            box = [round(value, 1) for value in one.box]
            shares = [round(one.probabilities[label], 4) for label in labels]
            yield [*moment, one.person, *box, one.label, round(one.confidence, 4), one.unsure, *shares, *last]
        if not found:
            yield [*moment, *[None] * (len(COLUMNS) - len(moment) + len(labels)), *last]


def read_video(
    path: str | PathLike, *, start: float = 0.0, end: float = math.inf, paths: Paths | None = None, **settings
) -> "pandas.DataFrame":
    """Returns a row for every face in every frame of a video that is read; a frame without a face has one without.

    Columns: file, seconds, frame, person, x, y, width, height (pixels), label, confidence, unsure, and the probability
    of each emotion.

    Args:
        start, end: in seconds. settings: `fps`, `model`, `detector` and the others of a study.

    Raises:
        SourceError: no readable video. ConfigError: a wrong setting. ArtifactError: no usable model.
    """
    path = Path(path)
    return _whole(_reader(settings, paths), [File(path.name, path, start, end)])


def read_folder(source: str | PathLike, *, paths: Paths | None = None, **settings) -> "pandas.DataFrame":
    """Returns the rows of all pictures and videos of a folder, a pattern or a list, as `read_video` does.

    Files that cannot be read are left out; `read_files` names them. It is read in this process alone: for many videos
    make a study (`--study`).
    """
    import pandas

    tables = [table for _, table, problem in read_files(source, paths=paths, **settings) if not problem]
    filled = [table for table in tables if len(table)]
    return pandas.concat(filled, ignore_index=True) if filled else pandas.DataFrame()


def read_files(
    source: str | PathLike, *, paths: Paths | None = None, **settings
) -> Iterator[tuple[str, "pandas.DataFrame", str]]:
    """Yields (name, rows, problem) of each picture and video, in their order; `problem` is empty if it was read."""
    import pandas

    reader = _reader(settings, paths)
    for file in find_files(str(source)).files:
        try:
            yield file.name, _whole(reader, [file]), ""
        except SourceError as error:
            yield file.name, pandas.DataFrame(columns=reader.columns), str(error)


def _reader(settings: dict, paths: Paths | None) -> StudyReader:
    return StudyReader(StudySettings.checked(settings), paths or Paths.from_environment())


def _whole(reader: StudyReader, files: list[File]) -> "pandas.DataFrame":
    """Returns the rows of a file. Raises SourceError."""
    from fer_core.study.tables import joined

    tables, records = [], []
    for part in sorted(make_parts(files, ""), key=lambda part: part.piece):
        table, (record,) = reader.read(part)
        if record.status == "failed":
            raise SourceError(record.reason)
        tables.append(table)
        records.append(record)
    return joined(tables, records)
