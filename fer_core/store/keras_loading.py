"""Loads Keras without what it loads along wherever that is installed: half of its time, and nothing here needs it."""

import importlib
import os
import sys

_BY_NO_BACKEND = ("pandas", "sklearn")
_NOT_NEEDED = {"tensorflow": ("jax", "matplotlib", "scipy", *_BY_NO_BACKEND)}
"""By backend. Keras and TensorFlow have adapters for these, and do without where they are not installed."""


def load_keras() -> None:
    """Imports Keras. Does nothing if it is there already. Without KERAS_BACKEND its own settings name the backend.

    While it loads, no other thread should import one of these packages: they look as if they were not installed.
    """
    unseen = _NOT_NEEDED.get(os.environ.get("KERAS_BACKEND", ""), _BY_NO_BACKEND)
    hidden = [] if "keras" in sys.modules else [name for name in unseen if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        importlib.import_module("keras")
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
