"""A camera, a stream or a video on the command line: opens what is written, runs the loop, and sums up at the end."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from fer_core import faces
from fer_core.cli.live_arguments import LiveRequest, LiveSettings
from fer_core.cli.live_lines import JsonLines, in_words
from fer_core.cli.output import say
from fer_core.errors import FerError, Interrupted
from fer_core.live.capturing import ClipCapture, PictureCapture, Recorder
from fer_core.live.classifier import Classifier, make_classifier
from fer_core.live.frame import Shown, Sink, Source
from fer_core.live.log import SUFFIXES as LOG_SUFFIXES
from fer_core.live.log import PredictionLog
from fer_core.live.loop import LiveLoop, NoScreen, Screen
from fer_core.live.model_watch import ModelWatch
from fer_core.live.output_path import check_output, free_path, make_folder
from fer_core.live.overlay import Overlay
from fer_core.live.predictor import LivePredictor
from fer_core.live.record import Record
from fer_core.live.screen import Annotator, View
from fer_core.live.video_output import SUFFIXES as VIDEO_SUFFIXES
from fer_core.live.video_output import VideoOutput, VideoSink
from fer_core.store.clock import utc_now

Capture = PictureCapture | ClipCapture

CONSENT = "People who are filmed or recorded must know it and agree."


class Session:
    """Frames of one source, from the first to the summary."""

    def __init__(self, console: Console, request: LiveRequest, classifier: Classifier, source: Source):
        """Raises ConfigError where something could not be written later."""
        settings = request.settings
        self._console, self._request, self._settings, self._source = console, request, settings, source
        _check_outputs(settings)
        self._folder = settings.folder or free_path(request.paths.models / "live", f"{utc_now():%Y%m%d-%H%M%S}")
        make_folder(self._folder)
        self._view = View()
        self._predictor = LivePredictor(
            _detector(request, settings.detector),
            classifier,
            threshold=settings.threshold,
            smoothing_seconds=settings.smoothing,
            detect_every=settings.detect_every,
        )
        self._record = Record(classifier.labels, is_live=source.is_live)
        self._recorder = Recorder(self._folder, rate=source.rate) if settings.display else None
        self._captured: list[Path] = []
        self._watch = self._model_watch()
        self._said_of_source = ""

    def run(self) -> None:
        """Reads until the end, q, Ctrl-C or SIGTERM; files are whole in each case. Raises FerError, Interrupted."""
        predictor = self._predictor
        found_by = f"faces found by {predictor.detector.name}"
        say(self._console, f"Reading {self._source.title} with {predictor.classifier.name}, {found_by}.")
        say(self._console, CONSENT)
        with _signals_noted() as signals, contextlib.ExitStack() as at_the_end:
            at_the_end.enter_context(contextlib.closing(self._record))
            at_the_end.callback(self._sum_up)
            loop, screen = self._loop(at_the_end)
            for capture in self._captures():
                self._run_once(loop, capture, screen, signals)
                if signals or screen.wants_to_end:
                    break
        if signals:
            raise Interrupted(signals[0])

    def _run_once(self, loop: LiveLoop, capture: Capture | None, screen: Screen, signals: list[int]) -> None:
        try:
            loop.run(stop=lambda: bool(signals), capture=capture)
        finally:
            if capture is not None:
                capture.close()
        if capture is not None and not (signals or screen.wants_to_end):
            capture.check_complete()

    def _loop(self, at_the_end: contextlib.ExitStack) -> tuple[LiveLoop, Screen]:
        sinks = [at_the_end.enter_context(contextlib.closing(sink)) for sink in self._sinks()]
        annotator = self._annotator(at_the_end)
        screen = self._screen(at_the_end, annotator)
        loop = LiveLoop(
            self._source,
            self._predictor,
            draw=annotator.kept,
            screen=screen,
            sinks=[self._record, *sinks],
            before_each=self._before_each,
        )
        return loop, screen

    def _sinks(self) -> Iterator[Sink]:
        settings, labels = self._settings, self._predictor.classifier.labels
        if settings.json_lines:
            yield JsonLines()
        if settings.log is not None:
            yield PredictionLog(settings.log, labels, overwrite=settings.overwrite)
        if settings.output is not None:
            video = VideoOutput(settings.output, self._source.size, self._source.rate, overwrite=settings.overwrite)
            say(self._console, f"Writing {settings.output} ({video.codec}): {video.players}")
            yield VideoSink(video)
        if self._recorder is not None:
            yield self._recorder

    def _annotator(self, at_the_end: contextlib.ExitStack) -> Annotator:
        heat_maps = None
        if self._settings.display:
            from fer_core.live.occlusion import HeatMaps

            heat_maps = at_the_end.enter_context(contextlib.closing(HeatMaps(self._another_classifier)))
        overlay = Overlay(self._predictor.classifier.labels)
        return Annotator(
            overlay, self._view, self._source, self._predictor, recorder=self._recorder, heat_maps=heat_maps
        )

    def _screen(self, at_the_end: contextlib.ExitStack, annotator: Annotator) -> Screen:
        if not self._settings.display:
            return NoScreen()
        from fer_core.live.screen import WindowScreen
        from fer_core.live.window import Window

        window = at_the_end.enter_context(contextlib.closing(Window(self._source.title, self._source.size)))
        return WindowScreen(
            window,
            annotator,
            self._view,
            self._source,
            recorder=self._recorder,
            next_detector=self._use_next_detector,
        )

    def _captures(self) -> Iterator[Capture | None]:
        settings, source = self._settings, self._source
        if settings.capture:
            yield PictureCapture(self._folder, settings.capture, report=self._tell_of_picture)
        if settings.clip:
            labels = self._predictor.classifier.labels
            clip = ClipCapture(self._folder, settings.clip, labels=labels, size=source.size, rate=source.rate)
            self._captured.append(clip.path)
            yield clip
        if not (settings.capture or settings.clip):
            yield None

    def _tell_of_picture(self, shown: Shown, path: Path) -> None:
        say(self._console, f"{path}: {in_words(shown.predictions)}")

    def _use_next_detector(self) -> str:
        names = faces.names()
        name = names[(names.index(self._predictor.detector.name) + 1) % len(names)]
        self._predictor.use(detector=_detector(self._request, name, may_download=False))
        return f"Faces are found by {name} now."

    def _another_classifier(self) -> Classifier:
        """Returns one more of the model that is read with now: a runtime serves one thread."""
        return make_classifier(self._predictor.classifier.model, self._request.paths, runtime=self._settings.runtime)

    def _model_watch(self) -> ModelWatch | None:
        if self._settings.model is not None:
            return None
        return ModelWatch(
            self._request.paths,
            loaded=self._predictor.classifier.name,
            runtime=self._settings.runtime,
            notice=self._notice,
        )

    def _before_each(self) -> None:
        self._take_promoted_model()
        if self._source.message != self._said_of_source:
            self._said_of_source = self._source.message
            say(self._console, self._said_of_source or "Frames are coming again.")

    def _take_promoted_model(self) -> None:
        classifier = self._watch.poll() if self._watch else None
        if classifier is None:
            return
        if classifier.labels != self._predictor.classifier.labels:
            self._notice(f"{classifier.name} was promoted, but has other labels: start again to read with it.")
            return
        self._predictor.use(classifier=classifier)

    def _notice(self, text: str) -> None:
        self._view.tell(text, time.monotonic())
        say(self._console, text)

    def _sum_up(self) -> None:
        if self._record.count:
            from fer_core.live.summary import print_summary

            print_summary(self._console, self._record)
            self._draw_timeline()
        else:
            say(self._console, "No frame was read.")
        for written in self._written():
            say(self._console, f"Written: {written}")
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # where nothing came into it

    def _draw_timeline(self) -> None:
        from fer_core.live.timeline_figure import save_timeline

        path = free_path(self._folder, "timeline.png")
        try:
            title = f"{self._source.title}, {self._predictor.classifier.name}"
            if save_timeline(self._record, path, title=title):
                say(self._console, f"Probabilities over time: {path}")
        except (FerError, OSError) as error:  # the readings are kept already; a plot is no reason to fail
            say(self._console, f"No timeline: {error}")

    def _written(self) -> list[Path]:
        recorded = self._recorder.paths if self._recorder else []
        wanted = (self._settings.log, self._settings.output, *self._captured, *recorded)
        return [path for path in wanted if path is not None and path.exists()]


def _check_outputs(settings: LiveSettings) -> None:
    """Raises ConfigError before anything is opened: opening one file may empty it, and then the next is refused."""
    if settings.log is not None:
        check_output(settings.log, suffixes=LOG_SUFFIXES, overwrite=settings.overwrite)
    if settings.output is not None:
        check_output(settings.output, suffixes=VIDEO_SUFFIXES, overwrite=settings.overwrite)


def _detector(request: LiveRequest, name: str, *, may_download: bool | None = None) -> faces.Detector:
    settings = request.settings
    return faces.make_detector(
        name,
        paths=request.paths,
        model_file=settings.detector_model,
        width=settings.detection_width,
        may_download=may_download,
    )


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Yields a list that gets the signals which ask to end: the loop ends after a whole frame. The second one kills."""
    noted: list[int] = []

    def note(number: int, frame: object) -> None:
        if noted:
            raise Interrupted(number)
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
