"""What a browser needs to read by itself, with the model in use: `describe` and the calls that hand it out.

The browser's part is in `static/device/`: the same crop, pixels, calibration, tracking and smoothing as here.
"""

from typing import Any

from fer_core.faces import MIN_FACE_PIXELS, PHOTO_WIDTH, yunet
from fer_core.labels import colour
from fer_core.live.classifier import Classifier
from fer_core.live.predictor import SMOOTHING_SECONDS
from fer_core.faces.framing import Framing
from dataclasses import asdict

QUICK_WIDTH = 320


def describe(classifier: Classifier, threshold: float) -> dict[str, Any]:
    """Returns what the browser must know of a model, as plain values for JSON."""
    model = classifier.model
    own = (model.framing or {}).get(yunet.YuNetDetector.name)
    return {
        "name": model.name,
        "labels": list(model.labels),
        "colours_of_labels": {label: colour(label, model.labels) for label in model.labels},
        "side": model.side,
        "channels": model.channels,
        "colours": model.colours,
        "pixels": model.pixels,
        "outputs": classifier.outputs,
        "divided_by": None if model.divided_by is None else list(model.divided_by),
        "temperature": model.temperature,
        "threshold": threshold,
        "smoothing": SMOOTHING_SECONDS,
        "aligned": model.is_aligned,
        "framing": asdict(Framing(**own) if own else yunet.FRAMING),
        "detection": {
            "width": QUICK_WIDTH,
            "photo_width": PHOTO_WIDTH,
            "minScore": yunet.MIN_SCORE,
            "overlap": yunet.OVERLAP,
            "minFacePixels": MIN_FACE_PIXELS,
            "largest_guessed": 256,
        },
    }
