"""Facial emotion recognition: data, networks, training, evaluation and live reading. Importing it imports nothing.

`from fer_core import predict_emotion, EmotionPredictor, read_video` loads them when they are asked for.
"""

_PUBLIC = {
    "predict_emotion": "fer_core.live.prediction",
    "EmotionPredictor": "fer_core.live.prediction",
    "Prediction": "fer_core.live.prediction",
    "read_video": "fer_core.study.reading",
    "read_folder": "fer_core.study.reading",
    "read_files": "fer_core.study.reading",
}
_RENAMED = {"EmotionReader": "EmotionPredictor", "Reading": "Prediction"}
"""Old names, for one release."""


def __getattr__(name: str):
    if name in _RENAMED:
        # Like the one below, the import is a call: this file stands on the lowest floor, where nothing is imported.
        __import__("warnings").warn(f"fer_core.{name} is called {_RENAMED[name]} now.", FutureWarning, stacklevel=2)
        name = _RENAMED[name]
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(_PUBLIC[name], fromlist=[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
