"""Facial emotion recognition: data, networks, training, evaluation and live reading. Importing it imports nothing.

`from fer_core import predict_emotion, EmotionReader, Reading` loads them when they are asked for.
"""

_PUBLIC = {
    "predict_emotion": "fer_core.live.predicting",
    "EmotionReader": "fer_core.live.predicting",
    "Reading": "fer_core.live.reading",
}


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The function, not the statement: this file stands on the lowest floor, where nothing is imported.
    return getattr(__import__(_PUBLIC[name], fromlist=[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
