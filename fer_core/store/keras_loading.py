"""Loads Keras without what it loads along wherever that is installed: half of its time, and nothing here needs it."""

import importlib
import os
import sys

_NOT_NEEDED = {"tensorflow": ("jax", "matplotlib", "pandas", "scipy", "sklearn"), "jax": ("pandas", "sklearn")}
"""By backend. Keras and TensorFlow have adapters for these, and do without where they are not installed."""


def load_keras() -> None:
    """Imports Keras on the backend that KERAS_BACKEND names. Does nothing if it is there already.

    While it loads, no other thread should import one of these packages: they look as if they were not installed.
    """
    unseen = _NOT_NEEDED.get(os.environ.get("KERAS_BACKEND", "tensorflow"), ())
    hidden = [] if "keras" in sys.modules else [name for name in unseen if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        importlib.import_module("keras")
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
