"""What is printed of a frame or a picture: its predictions as one JSON object, or in words."""

import contextlib
import json
import os
import sys

from fer_core.live.frame import Shown, Sink
from fer_core.live.prediction import Prediction
from fer_core.store.files import DiskFullError


class JsonLines(Sink):
    """Prints one JSON object per frame."""

    def write(self, shown: Shown) -> None:
        """Prints the frame's predictions. Raises DiskFullError."""
        print_line(json.dumps(shown.to_json(), allow_nan=False))


def in_words(predictions: tuple[Prediction, ...]) -> str:
    """Returns the readings of one picture as a phrase: 'no face', 'happy 97%', '2 faces: sad 61%, …'."""
    if not predictions:
        return "no face"
    phrases = [_phrase(prediction) for prediction in predictions]
    return phrases[0] if len(phrases) == 1 else f"{len(phrases)} faces: {', '.join(phrases)}"


def print_line(text: str) -> None:
    """Prints one JSON line at once, so that the next program in a pipe need not wait. Raises DiskFullError."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError):  # Python would complain once more when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise DiskFullError(
            f"No more lines can be written to the standard output: {error.strerror}.",
            hint="Make room where it goes, or write to another place.",
        ) from None


def _phrase(prediction: Prediction) -> str:
    phrase = f"{prediction.label} {prediction.confidence:.0%}"
    return f"unsure ({phrase})" if prediction.unsure else phrase
