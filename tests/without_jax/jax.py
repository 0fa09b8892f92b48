"""TensorFlow imports JAX wherever that is installed, which takes a second of each process: it is for those that ask.

Users seldom have both. This folder is on the tests' path; what sets KERAS_BACKEND=jax gets JAX itself.
"""

import importlib
import os
import sys
from pathlib import Path

if os.environ.get("KERAS_BACKEND") != "jax":
    raise ImportError("JAX is hidden from what does not set KERAS_BACKEND=jax.")
sys.path[:] = [folder for folder in sys.path if folder != str(Path(__file__).parent)]
del sys.modules["jax"]
importlib.import_module("jax")
