"""A source on the command line, from its first frame to the summary: cameras, streams, videos, and single pictures."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_core import faces
from fer_core.cli.command_line import say
from fer_core.cli.live import LiveRequest
from fer_core.cli.live_lines import JsonLines, in_words, print_summary
from fer_core.errors import FerError, SourceError, check_interrupted, signals_wait
from fer_core.live.capturing import AnnotatedPictures, ClipCapture, PictureCapture, Recorder, save_picture
from fer_core.live.classifier import Classifier, ModelWatch, make_classifier
from fer_core.live.frame import Shown, Sink, Source
from fer_core.live.layout import Status
from fer_core.live.loop import WAIT_SECONDS, LiveLoop, LiveView, anonymized
from fer_core.live.on_change import OnChange
from fer_core.live.output import LOG_SUFFIXES, PredictionLog, Record, check_output, free_path, make_folder
from fer_core.live.overlay import Overlay
from fer_core.live.prediction import EmotionPredictor
from fer_core.live.predictor import LivePredictor
from fer_core.live.video_output import VIDEO_SUFFIXES, VideoOutput
from fer_core.store.files import utc_now
from fer_core.store.model_files import find_model

CANVAS = (1600, 1200)
"""Width and height on which all pictures of a folder are shown: a window keeps the proportions of its first picture."""
CONSENT = "People who are filmed or recorded must know it and agree."


def read_frames(console: Console, request: LiveRequest, classifier: Classifier, source: Source) -> None:
    """Reads a camera, a stream or a video to its end, q, Ctrl-C or SIGTERM; files are whole in each case.

    Raises FerError, ConfigError before the first frame where something could not be written later, Interrupted.
    """
    with signals_wait(), contextlib.ExitStack() as at_the_end:
        _LiveSession(console, request, classifier, source).run(at_the_end)


class _LiveSession:
    """Frames of one source, from the first to the summary."""

    def __init__(self, console: Console, request: LiveRequest, classifier: Classifier, source: Source):
        settings = request.settings
        self._console, self._request, self._settings, self._source = console, request, settings, source
        # Before anything is opened: opening one file may empty it, and then the next is refused.
        for path, suffixes in ((settings.log, LOG_SUFFIXES), (settings.output, VIDEO_SUFFIXES)):
            if path is not None:
                check_output(path, suffixes=suffixes, overwrite=settings.overwrite)
        self._folder = _folder(request)
        make_folder(self._folder)
        self._predictor = LivePredictor(
            _detector(request, settings.detector, settings.detection_width),
            classifier,
            threshold=settings.threshold,
            smoothing_seconds=settings.smoothing,
            detect_every=settings.detect_every if settings.anonymize == "none" else 1,  # a new face shows in no frame
        )
        self._record = Record(classifier.labels, is_live=source.is_live)
        self._recorder = Recorder(self._folder, rate=source.rate) if settings.display else None
        self._captured: list[Path] = []
        self._newest, self._problem = classifier, ""
        self._view: LiveView | None = None
        self._last_message = ""

    def run(self, at_the_end: contextlib.ExitStack) -> None:
        predictor = self._predictor
        found_by = f"faces found by {predictor.detector.name}"
        say(self._console, f"Reading {self._source.title} with {predictor.classifier.name}, {found_by}.")
        say(self._console, CONSENT)
        at_the_end.enter_context(contextlib.closing(self._record))
        at_the_end.callback(self._sum_up)
        sinks = [at_the_end.enter_context(contextlib.closing(sink)) for sink in self._sinks()]
        view = self._view = self._opened_view(at_the_end)
        is_fixed = self._settings.model is not None
        watch = ModelWatch(self._request.paths, predictor.classifier, self._load_promoted, is_fixed=is_fixed)
        self._watch = at_the_end.enter_context(contextlib.closing(watch))
        parts = {"draw": view.for_file, "screen": view, "sinks": [self._record, *sinks]}
        how = {"before_each": self._before_each, "anonymize": self._settings.anonymize}
        loop = LiveLoop(self._source, predictor, **parts, **how)
        for capture in self._captures():
            with contextlib.closing(capture) if capture else contextlib.nullcontext():
                loop.run(capture=capture)
            if view.wants_to_end:
                return
            if capture and not capture.is_done:
                hint = f"What was taken is in {self._folder}; take a longer source, or ask for less."
                raise SourceError(f"The source ended after {capture.progress}.", hint=hint)

    def _sinks(self) -> Iterator[Sink]:
        """The log comes last: where another one is refused, it would be there already when that is mended."""
        settings, source = self._settings, self._source
        if settings.on_change is not None:
            yield OnChange(settings.on_change, is_live=source.is_live, report=partial(say, self._console))
        if settings.output is not None:
            video = VideoOutput(settings.output, source.size, source.rate, overwrite=settings.overwrite)
            say(self._console, f"Writing {settings.output} ({video.codec}): {video.players}")
            yield video
        if self._recorder is not None:
            yield self._recorder
        yield from _text_sinks(self._request, self._predictor.classifier, of_pictures=False)

    def _opened_view(self, at_the_end: contextlib.ExitStack) -> LiveView:
        if not self._settings.display:
            return LiveView(self._source, self._predictor)
        from fer_core.live.occlusion import HeatMaps
        from fer_core.live.screen import Window

        def another_classifier() -> Classifier:  # a runtime serves one thread
            model, runtime = self._predictor.classifier.model, self._settings.runtime
            return make_classifier(model, self._request.paths, runtime=runtime)

        heat_maps = at_the_end.enter_context(contextlib.closing(HeatMaps(another_classifier)))
        window = at_the_end.enter_context(contextlib.closing(Window(self._source.title, self._source.size)))
        parts = {"window": window, "recorder": self._recorder, "heat_maps": heat_maps}
        return LiveView(self._source, self._predictor, **parts, next_detector=self._use_next_detector)

    def _captures(self) -> Iterator[PictureCapture | ClipCapture | None]:
        settings, source = self._settings, self._source
        if settings.capture:
            yield PictureCapture(self._folder, settings.capture, report=self._report_picture)
        if settings.clip:
            labels = self._predictor.classifier.labels
            clip = ClipCapture(self._folder, settings.clip, labels=labels, size=source.size, rate=source.rate)
            self._captured.append(clip.path)
            yield clip
        if not (settings.capture or settings.clip):
            yield None

    def _report_picture(self, shown: Shown, path: Path) -> None:
        say(self._console, f"{path}: {in_words(shown.predictions)}")

    def _use_next_detector(self) -> str:
        names = faces.names()
        name = names[(names.index(self._predictor.detector.name) + 1) % len(names)]
        width = self._settings.detection_width
        self._predictor.use(detector=_detector(self._request, name, width, may_download=False))
        return f"Faces are found by {name} now."

    def _before_each(self) -> None:
        check_interrupted()
        self._use_promoted()
        if self._source.message != self._last_message:
            self._last_message = self._source.message
            say(self._console, self._last_message or "Frames are coming again.")

    def _load_promoted(self) -> Classifier:
        paths = self._request.paths
        how = {"runtime": self._settings.runtime, "prior": self._settings.prior}
        return make_classifier(find_model(None, paths), paths, **how)

    def _use_promoted(self) -> None:
        watch = self._watch
        if watch.loaded is not self._newest:
            self._newest = watch.loaded
            if self._newest.labels == self._predictor.classifier.labels:
                self._predictor.use(classifier=self._newest)
                self._notice(f"Now reading with {self._newest.name}, which was promoted just now.")
            else:
                self._notice(f"{self._newest.name} was promoted, but has other labels: start again to read with it.")
        if watch.problem != self._problem:
            self._problem = watch.problem
            if self._problem:
                self._notice(self._problem)

    def _notice(self, text: str) -> None:
        self._view.tell(text)
        say(self._console, text)

    def _sum_up(self) -> None:
        if self._record.count:
            with _named_where_missing(self._console, "summary"):
                print_summary(self._console, self._record)
                self._draw_timeline()
        else:
            say(self._console, "No frame was read.")
        recorded = self._recorder.paths if self._recorder else []
        for path in (self._settings.log, self._settings.output, *self._captured, *recorded):
            if path is not None and path.exists():
                say(self._console, f"Written: {path}")
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # where nothing came into it

    def _draw_timeline(self) -> None:
        from fer_core.live.summary import save_timeline

        path = free_path(self._folder, "timeline.png")
        title = f"{self._source.title}, {self._predictor.classifier.name}"
        try:
            if save_timeline(self._record, path, title=title):
                say(self._console, f"Probabilities over time: {path}")
        except (FerError, OSError) as error:  # the predictions are saved already; a plot is no reason to fail
            say(self._console, f"No timeline: {error}")


def read_pictures(console: Console, request: LiveRequest, classifier: Classifier, source: Source) -> None:
    """Reads a picture or a folder of them, each on its own, and sums them up; ends early after q or a closed window.

    Raises FerError, ConfigError before the first picture where something could not be written later.
    """
    with contextlib.ExitStack() as at_the_end:
        _Stills(console, request, classifier, source).run(at_the_end)


class _Stills:
    """One picture, or all of a folder."""

    def __init__(self, console: Console, request: LiveRequest, classifier: Classifier, source: Source):
        settings, path = request.settings, Path(request.settings.source or "")
        self._console, self._request, self._source = console, request, source
        self._is_one = path.is_file()
        self._output = None
        if settings.output is not None:
            self._output = AnnotatedPictures(settings.output, path, overwrite=settings.overwrite)
        detector = _detector(request, settings.detector, settings.detection_width or faces.PHOTO_WIDTH)
        self._predictor = EmotionPredictor(detector, classifier, threshold=settings.threshold)
        self._overlay = Overlay(classifier.labels) if settings.display or settings.output else None
        self._record = Record(classifier.labels)
        self._folder = _folder(request)

    def run(self, at_the_end: contextlib.ExitStack) -> None:
        from fer_core.live.screen import Window, show_still

        at_the_end.enter_context(contextlib.closing(self._record))
        at_the_end.callback(self._sum_up)
        text_sinks = _text_sinks(self._request, self._predictor.classifier, of_pictures=True)
        sinks = [at_the_end.enter_context(contextlib.closing(sink)) for sink in text_sinks]
        window, display = None, self._request.settings.display
        size = self._source.size if self._is_one else CANVAS
        keys = "Any key closes the window, s saves the picture."
        if not self._is_one:
            keys = "Any key shows the next picture, q ends, s saves this one."
        if display:
            say(self._console, keys)
        for shown in self._read():
            for sink in (self._record, *sinks):
                sink.write(shown)
            if display:
                window = window or at_the_end.enter_context(contextlib.closing(Window(self._source.title, size)))
                if not show_still(window, shown, size, keys=keys, draw=self._annotated, save=self._save):
                    return

    def _read(self) -> Iterator[Shown]:
        while not self._source.ended:
            frame = self._source.read(WAIT_SECONDS)
            if frame is None:
                continue
            shown = Shown(
                frame, tuple(self._predictor.read_picture(frame.picture_bgr, faces=self._request.settings.faces)), None
            )
            if (how := self._request.settings.anonymize) != "none":
                boxes = [prediction.box for prediction in shown.predictions]
                shown = shown._replace(frame=frame._replace(picture_bgr=anonymized(frame.picture_bgr, boxes, how)))
            shown = shown._replace(picture_bgr=self._annotated(shown) if self._overlay else None)
            lines = [f"{frame.name}: {in_words(shown.predictions)}"]
            if self._output is not None:
                lines.append(f"  annotated: {self._output.save(shown.picture_bgr, frame.name)}")
            say(self._console, "\n".join(lines))
            yield shown

    def _annotated(self, shown: Shown, message: str = "") -> np.ndarray:
        status = Status(self._predictor.classifier.name, self._predictor.detector.name, 0.0, 0.0, message=message)
        return self._overlay.draw(shown.frame.picture_bgr, shown.predictions, status)

    def _save(self, shown: Shown) -> Path:
        path = save_picture(shown, shown.picture_bgr, self._folder, kind="snapshot")
        say(self._console, f"  saved: {path}")
        return path

    def _sum_up(self) -> None:
        if self._record.count > 1:
            with _named_where_missing(self._console, "summary"):
                print_summary(self._console, self._record)


@contextlib.contextmanager
def _named_where_missing(console: Console, what: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        say(console, f"No {what}: {error.name} is not installed.")


def _folder(request: LiveRequest) -> Path:
    """Where snapshots and recordings go."""
    return request.settings.folder or free_path(request.paths.models / "live", f"{utc_now():%Y%m%d-%H%M%S}")


def _detector(
    request: LiveRequest, name: str, width: int | None, *, may_download: bool | None = None
) -> faces.Detector:
    file = request.settings.detector_model
    return faces.make_detector(name, paths=request.paths, model_file=file, width=width, may_download=may_download)


def _text_sinks(request: LiveRequest, classifier: Classifier, *, of_pictures: bool) -> Iterator[Sink]:
    settings = request.settings
    if settings.json_lines:
        yield JsonLines()
    if settings.log is not None:
        yield PredictionLog(settings.log, classifier.labels, overwrite=settings.overwrite, of_pictures=of_pictures)
