"""`python realtime_emotion_detector.py`: analyses a model, reads faces, and says what came of it."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fer_core.cli.live_arguments import DEFAULT_SOURCE, LiveRequest, LiveSettings, parse
from fer_core.cli.output import say, send_native_messages_to
from fer_core.errors import ConfigError, SourceError
from fer_core.store.model_files import ModelFiles, find_model


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    request = parse(argv)
    settings = request.settings
    console = Console(stderr=settings.json_lines)
    model = find_model(settings.model, request.paths, labels_file=settings.labels, pixels=settings.pixels)
    if model.note:
        say(console, model.note)
    if request.wants in ("live", "analyze"):
        # Qt, FFmpeg, libpng and TensorFlow report on file descriptor 2 what we tell in our own words.
        send_native_messages_to(Path(os.devnull))
    if request.wants == "live":
        _live(console, request, model)
    elif request.wants == "analyze":
        from fer_core.cli.inspecting import analyse_or_fail

        analyse_or_fail(console, model, request)
    else:
        from fer_core.cli.exits import run_in_child
        from fer_core.cli.inspecting import explain_pictures, list_layers

        run_in_child(list_layers if request.wants == "list-layers" else explain_pictures, model, request)


def _shown_if_possible(console: Console, settings: LiveSettings) -> LiveSettings:
    """Returns the settings, without a window where none can be opened and what is read is kept in another way.

    Raises SourceError where nothing would be left of what is read.
    """
    from fer_core.live.screen import check_display

    try:
        check_display()
    except SourceError as error:
        if not any((settings.output, settings.log, settings.json_lines, settings.capture, settings.clip)):
            raise
        say(console, f"{error} Going on without a window.")
        return settings.model_copy(update={"display": False})
    return settings


def _live(console: Console, request: LiveRequest, model: ModelFiles) -> None:
    from fer_core.cli.live_session import read_frames, read_pictures
    from fer_core.live.classifier import make_classifier
    from fer_core.live.sources import open_source

    settings = request.settings
    if settings.source is None:
        from fer_core.cli.inspecting import analyse_if_possible

        analyse_if_possible(console, model, request)
    if settings.display:
        settings = _shown_if_possible(console, settings)
        request = request._replace(settings=settings)
    source_path = Path(settings.source or DEFAULT_SOURCE)
    for flag, path in (("--output", settings.output), ("--log", settings.log)):
        with contextlib.suppress(OSError):  # what cannot be looked at is refused later, with the reason
            if path is not None and path.samefile(source_path) and source_path.is_file():
                raise ConfigError(f"{flag} {path} is the source itself.", hint="Give another name.")
    classifier = make_classifier(model, request.paths, runtime=settings.runtime, report=lambda text: say(console, text))
    with contextlib.closing(open_source(settings.source or DEFAULT_SOURCE)) as source:
        if source.is_still and (settings.capture or settings.clip):
            raise ConfigError("--capture and --clip are for a camera, a stream or a video.", hint="Leave them out.")
        if not source.is_still and settings.faces == "given":
            raise ConfigError("--faces given is for pictures that are one face each.", hint="Leave it out.")
        read = read_pictures if source.is_still else read_frames
        read(console, request, classifier, source)
        for problem in source.skipped:
            say(console, f"Skipped: {problem}")
