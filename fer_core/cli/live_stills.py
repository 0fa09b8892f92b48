"""Pictures on the command line: the predictions of each are printed, and it is written or shown annotated if wanted."""

import contextlib
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_core import faces
from fer_core.cli.live_arguments import LiveRequest
from fer_core.cli.live_lines import JsonLines, in_words
from fer_core.cli.output import say
from fer_core.live.capturing import save_picture
from fer_core.live.classifier import Classifier
from fer_core.live.frame import Shown, Sink, Source
from fer_core.live.log import PredictionLog
from fer_core.live.overlay import Overlay
from fer_core.live.predicting import PHOTO_WIDTH
from fer_core.live.predictor import FacePredictor
from fer_core.live.record import Record
from fer_core.live.stills import CANVAS, AnnotatedPictures, StillsScreen, annotated, read_stills
from fer_core.live.summary import print_summary
from fer_core.live.window import Window
from fer_core.store.clock import utc_now


class Stills:
    """One picture, or all of a folder."""

    def __init__(self, console: Console, request: LiveRequest, classifier: Classifier, source: Source):
        """Raises ConfigError where something could not be written later."""
        settings = request.settings
        self._console, self._settings, self._source = console, settings, source
        path = Path(settings.source or "")
        self._is_one = path.is_file()
        self._output = None
        if settings.output is not None:
            self._output = AnnotatedPictures(settings.output, path, overwrite=settings.overwrite)
        detector = faces.make_detector(
            settings.detector,
            paths=request.paths,
            model_file=settings.detector_model,
            width=settings.detection_width or PHOTO_WIDTH,
        )
        self._predictor = FacePredictor(detector, classifier, threshold=settings.threshold)
        self._overlay = Overlay(classifier.labels) if settings.display or settings.output else None
        self._record = Record(classifier.labels)
        self._folder = settings.folder or request.paths.models / "live" / f"{utc_now():%Y%m%d-%H%M%S}"

    def run(self) -> None:
        """Reads all pictures, and sums them up; ends early after q or when the window is closed. Raises FerError."""
        with contextlib.ExitStack() as at_the_end:
            at_the_end.enter_context(contextlib.closing(self._record))
            at_the_end.callback(self._sum_up)
            sinks = [at_the_end.enter_context(contextlib.closing(sink)) for sink in self._sinks()]
            screen = None
            if self._settings.display:
                say(self._console, self._keys)
            for shown in read_stills(self._source, self._predictor, faces=self._settings.faces, overlay=self._overlay):
                self._record.write(shown)
                self._tell(shown)
                for sink in sinks:
                    sink.write(shown)
                if self._settings.display:
                    screen = screen or self._screen(at_the_end)
                    if not screen.show(shown):
                        return

    @property
    def _keys(self) -> str:
        if self._is_one:
            return "Any key closes the window, s saves the picture."
        return "Any key shows the next picture, q ends, s saves this one."

    def _sinks(self) -> list[Sink]:
        settings = self._settings
        sinks: list[Sink] = [JsonLines()] if settings.json_lines else []
        if settings.log is not None:
            labels = self._predictor.classifier.labels
            sinks.append(PredictionLog(settings.log, labels, overwrite=settings.overwrite, of_pictures=True))
        return sinks

    def _screen(self, at_the_end: contextlib.ExitStack) -> StillsScreen:
        size = self._source.size if self._is_one else CANVAS
        window = at_the_end.enter_context(contextlib.closing(Window(self._source.title, size)))
        return StillsScreen(window, size, keys=self._keys, draw=self._with_message, save=self._save)

    def _with_message(self, shown: Shown, message: str) -> np.ndarray:
        return annotated(shown.frame, shown.predictions, self._predictor, self._overlay, message=message)

    def _save(self, shown: Shown) -> Path:
        path = save_picture(shown, shown.picture_bgr, self._folder, kind="snapshot")
        say(self._console, f"  saved: {path}")
        return path

    def _tell(self, shown: Shown) -> None:
        lines = [f"{shown.frame.name}: {in_words(shown.predictions)}"]
        if self._output is not None:
            lines.append(f"  annotated: {self._output.save(shown.picture_bgr, shown.frame.name)}")
        say(self._console, "\n".join(lines))

    def _sum_up(self) -> None:
        if self._record.count > 1:
            print_summary(self._console, self._record)
