"""Which backend Keras computes with, decided before Keras is imported."""

import os
from importlib.util import find_spec

from fer_core.errors import ConfigError


def choose_backend(recorded: str | None = None) -> None:
    """Sets KERAS_BACKEND, if it is not set: Keras takes TensorFlow by itself, and fails where only JAX is installed.

    Args:
        recorded: what a run was begun with, which comes first.

    Raises:
        ConfigError: there is neither TensorFlow nor JAX.
    """
    installed = [name for name in (recorded, "tensorflow", "jax") if name and find_spec(name)]
    if not installed and "KERAS_BACKEND" not in os.environ:
        raise ConfigError(
            "Neither TensorFlow nor JAX is installed.", hint='Install one: pip install "tensorflow>=2.21,<2.22"'
        )
    os.environ.setdefault("KERAS_BACKEND", installed[0] if installed else "tensorflow")
