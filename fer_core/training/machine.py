"""What the machine offers a training: backend, devices, threads, precision. Decides, sets up, and says why.

`prepare` must come before the first Keras operation of the process: threads and virtual devices cannot change later.
"""

import contextlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.resources import available_cores, core_numbers
from fer_core.store.manifest import Manifest

_BFLOAT16_CPU_FLAGS = ("avx512_bf16", "amx_bf16")
_BFLOAT16_COMPUTE_CAPABILITY = (8, 0)

_Devices = tuple[tuple[str, ...], bool | None]
"""Their names, and whether they compute in bfloat16; None for CPUs."""


@dataclass(frozen=True)
class Machine:
    """How this process trains."""

    backend: str
    devices: tuple[str, ...]
    threads: int
    precision: str
    precision_reason: str

    @property
    def on_gpu(self) -> bool:
        """Whether the devices are GPUs."""
        return "gpu" in self.devices[0].lower() or "cuda" in self.devices[0].lower()

    @property
    def policy(self) -> str:
        """The Keras dtype policy of the network while it trains."""
        return "mixed_bfloat16" if self.precision == "bfloat16" else "float32"

    def sentence(self) -> str:
        """Returns one line for the run's output."""
        where = f"{len(self.devices)} x {self.devices[0]}" if len(self.devices) > 1 else self.devices[0]
        return f"{self.backend} on {where}, {self.threads} threads, {self.precision} ({self.precision_reason})"


def choose_backend(recorded: str | None = None) -> None:
    """Sets KERAS_BACKEND, if it is not set, and loads Keras, which by itself takes TensorFlow, installed or not.

    Args:
        recorded: what a run was begun with, which comes first.

    Raises:
        ConfigError: there is neither TensorFlow nor JAX, or not the one that KERAS_BACKEND names.
    """
    installed = [name for name in (recorded, "tensorflow", "jax") if name and find_spec(name)]
    if not installed and "KERAS_BACKEND" not in os.environ:
        raise ConfigError(
            "Neither TensorFlow nor JAX is installed.", hint='Install one: pip install "tensorflow>=2.21,<2.22"'
        )
    backend = os.environ.setdefault("KERAS_BACKEND", installed[0] if installed else "tensorflow")
    if backend in _SETUP and not find_spec(backend):
        raise ConfigError(f"The Keras backend {backend!r} is not installed.", hint=_BACKENDS)
    if backend != "numpy":  # which is enough to ask an oracle
        _check_trains(backend)
    networks.load_keras()


def _check_trains(backend: str) -> None:
    if backend not in _SETUP:
        raise ConfigError(f"The Keras backend {backend!r} is not supported.", hint=_BACKENDS)


def prepare(config: TrainConfig, *, recorded: Manifest) -> Machine:
    """Sets up threads, devices, determinism and seeds for this process, and returns what was set up.

    Args:
        recorded: the run's manifest. An interrupted run keeps its threads and its precision: others give other weights.

    Raises:
        ConfigError: for devices that the machine does not have, or another backend or other threads than the run had.
    """
    import keras

    backend = keras.backend.backend()
    _check_trains(backend)
    if recorded.backend not in (None, backend):
        raise ConfigError(
            f"The run was begun on {recorded.backend}; this is {backend}.",
            hint=f"Set KERAS_BACKEND={recorded.backend} and resume again.",
        )
    set_threads, set_devices = _SETUP[backend]
    threads = set_threads(recorded.threads or config.threads or available_cores())
    if recorded.threads not in (None, threads):
        raise ConfigError(
            f"The run was begun with {recorded.threads} threads; this process already computes with {threads}.",
            hint="Resume it in a process of its own.",
        )
    devices, gpu_has_bfloat16 = set_devices(config)
    keras.utils.set_random_seed(config.seed)
    precision, reason = choose_precision(config.precision, gpu_has_bfloat16, backend=backend)
    if recorded.precision:
        precision, reason = recorded.precision, recorded.precision_reason or ""
    return Machine(backend, devices, threads, precision, reason)


def single_or_many(machine: Machine) -> contextlib.AbstractContextManager:
    """Returns a context in which models are built and trained over all devices: each takes its part of every batch."""
    if len(machine.devices) == 1:
        return contextlib.nullcontext()
    if machine.backend == "tensorflow":
        import tensorflow as tf

        return tf.distribute.MirroredStrategy(list(machine.devices)).scope()
    from keras import distribution

    return distribution.DataParallel(devices=[name.lower() for name in machine.devices]).scope()


def choose_precision(wanted: str, gpu_has_bfloat16: bool | None, *, backend: str = "tensorflow") -> tuple[str, str]:
    """Returns (precision, reason); `gpu_has_bfloat16` is None where there is no GPU."""
    if wanted != "auto":
        return wanted, "as asked for"
    if gpu_has_bfloat16 is not None:
        return ("bfloat16", "the GPU has it") if gpu_has_bfloat16 else ("float32", "the GPU has no bfloat16")
    if backend == "jax":
        return "float32", "on a CPU, JAX is no faster in bfloat16"
    flags = [flag for flag in _BFLOAT16_CPU_FLAGS if flag in cpu_flags()]
    return ("bfloat16", f"the CPU has {flags[0]}") if flags else ("float32", "the CPU has no bfloat16 instructions")


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Returns the CPU's feature flags as Linux names them; an empty set elsewhere."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split(":")[-1].split())


def _set_tensorflow_threads(wanted: int) -> int:
    """Returns how many there are: TensorFlow keeps those of its first operation in a process."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted)
        tf.config.threading.set_inter_op_parallelism_threads(max(1, min(wanted, 2)))
    except RuntimeError:
        return tf.config.threading.get_intra_op_parallelism_threads() or available_cores()
    return wanted


def _set_jax_threads(wanted: int) -> int:
    """Lets the process use so many cores, after which XLA makes as many threads; returns how many there are."""
    if hasattr(os, "sched_setaffinity") and wanted < len(core_numbers()):
        os.sched_setaffinity(0, core_numbers()[:wanted])
    return min(wanted, len(core_numbers()))


def _set_tensorflow_devices(config: TrainConfig) -> _Devices:
    import tensorflow as tf

    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    kind, count = _wanted_devices(config.devices, len(gpus))
    if kind == "cpu":
        tf.config.set_visible_devices([], "GPU")
        if count > 1:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
        return tuple(f"CPU:{number}" for number in range(count)), None
    tf.config.set_visible_devices(gpus[:count], "GPU")
    for gpu in gpus[:count]:
        tf.config.experimental.set_memory_growth(gpu, True)
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    return tuple(f"GPU:{number}" for number in range(count)), capability >= _BFLOAT16_COMPUTE_CAPABILITY


def _set_jax_devices(config: TrainConfig) -> _Devices:
    """CPUs not by environment variables: JAX reads them when it is imported, which Keras did."""
    import jax

    if config.devices.startswith("cpu"):
        wanted = int(config.devices.partition(":")[2] or 1)
        try:
            jax.config.update("jax_platforms", "cpu")
            jax.config.update("jax_num_cpu_devices", wanted)
        except RuntimeError:  # JAX has computed in this process already, with the devices that it has
            if (present := len(jax.devices("cpu"))) < wanted:
                raise ConfigError(
                    f"devices is 'cpu:{wanted}', and JAX already computes with {present} in this process.",
                    hint="Train in a process of its own.",
                ) from None
    found = jax.devices()
    gpus = [device for device in found if device.platform == "gpu"]
    kind, count = _wanted_devices(config.devices, len(gpus))
    chosen = (gpus if kind == "gpu" else found)[:count]
    names = tuple(f"{device.platform.upper()}:{device.id}" for device in chosen)
    if kind == "cpu":
        return names, None
    return names, float(getattr(chosen[0], "compute_capability", "0")) >= _BFLOAT16_COMPUTE_CAPABILITY[0]


def _wanted_devices(devices: str, gpus: int) -> tuple[str, int]:
    kind, _, number = devices.partition(":")
    if kind == "auto":
        kind, number = ("gpu", str(gpus)) if gpus else ("cpu", "1")
    count = int(number or (gpus if kind == "gpu" else 1))
    if count == 0 or (kind == "gpu" and count > gpus):
        raise ConfigError(
            f"devices is {devices!r}, and this machine shows {gpus} GPUs.",
            hint="Use --devices auto, or check the GPU's driver.",
        )
    return kind, count


_BACKENDS = "Set KERAS_BACKEND=tensorflow or jax."
_SETUP = {
    "tensorflow": (_set_tensorflow_threads, _set_tensorflow_devices),
    "jax": (_set_jax_threads, _set_jax_devices),
}
