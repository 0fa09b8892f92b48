"""What the model that comes with the project says of itself, for tests that hold of whichever it is."""

import csv
import json

from fer_core.paths import SHIPPED_BEST
from fer_core.store.run import Run

TINY = SHIPPED_BEST.with_name("tiny")
"""The one that comes with both LiteRT exports."""
_MANIFEST = Run(SHIPPED_BEST, SHIPPED_BEST).manifest
EPOCHS, RECIPE = _MANIFEST.config.epochs, _MANIFEST.recipe
SCORES = json.loads((SHIPPED_BEST / "evaluation.json").read_text(encoding="utf-8"))
ACCURACY = f"{SCORES['accuracy']:.1%}"
ACCURACY_WITHOUT_COPIES = f"{SCORES['without_training_copies']['accuracy']:.1%}"
with (SHIPPED_BEST / "history.csv").open(encoding="utf-8", newline="") as _file:
    VALIDATION_ACCURACY = float(list(csv.DictReader(_file))[-1]["val_accuracy"])
"""After the last epoch."""
