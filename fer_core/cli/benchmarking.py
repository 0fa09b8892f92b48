"""`--benchmark`: what this machine can do, as a table."""

import platform

from rich import box
from rich.console import Console
from rich.table import Table

from fer_core import faces
from fer_core.cli.console import say
from fer_core.cli.live import LiveRequest
from fer_core.errors import ArtifactError
from fer_core.live.benchmark import HEIGHT, WIDTH, measure, memory_megabytes
from fer_core.live.classifier import make_classifier
from fer_core.resources import available_cores
from fer_core.store.model_files import ModelFiles


def benchmark(console: Console, request: LiveRequest, model: ModelFiles) -> None:
    """Measures, for each detector that is here, and prints. Raises FerError."""
    settings = request.settings
    classifier = make_classifier(model, request.paths, runtime=settings.runtime, report=lambda text: say(console, text))
    title = f"{model.name} ({settings.runtime}), drawn faces in {WIDTH} x {HEIGHT}, {available_cores()} cores"
    table = Table("detector", "in view", box=box.SIMPLE, title=f"{title}, {platform.machine()}")
    for column in ("found", "detect", "follow", "classify", "frames/s"):
        table.add_column(column, justify="right")
    for name in faces.names() if settings.detector == faces.AUTO else (settings.detector,):
        options = {"model_file": settings.detector_model, "width": settings.detection_width, "may_download": False}
        try:
            detector = faces.make_detector(name, paths=request.paths, **options)
        except ArtifactError as error:
            say(console, f"Without {name}: {error}")
            continue
        for one in measure(detector, classifier):
            stages = (f"{milliseconds:.2f} ms" for milliseconds in (one.detect, one.track, one.classify))
            table.add_row(name, one.people, str(one.found), *stages, f"{one.frames_per_second:,.0f}")
    console.print(table)
    say(console, f"Faces are looked for in one of {faces.DETECT_EVERY} frames. Memory: {memory_megabytes():,.0f} MB.")
