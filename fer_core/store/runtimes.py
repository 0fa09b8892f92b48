"""Models without TensorFlow: LiteRT and ONNX Runtime read them, one picture at a time; what a picture costs."""

import contextlib
import json
import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_core.errors import ArtifactError, first_line, native_messages_hidden
from fer_core.store.artifacts import parameters
from fer_core.store.inspection import check_is_file
from fer_core.store.manifest import Manifest
from fer_core.store.run import Run

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

_KERAS_INSTEAD = "`--runtime keras` does without it."
_CHANNELS = (1, 3)
_CALLS = 30
_WARM_UP_CALLS = 5


class Runtime(ABC):
    """A model that is open and ready. Not for several threads at once: they would share its one input.

    Takes one picture at a time, also where it gets many: eight in a batch were measured to cost as much as eight.
    """

    input_shape: tuple[int, int, int]
    outputs: int

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns what the model answers, float32 (n, outputs), just as it comes: not calibrated.

        Args:
            images: (n, side, side, channels), uint8 0..255, or float32 in the range that the model was trained on.

        Raises ArtifactError for another shape or type.
        """
        if images.shape[1:] != self.input_shape or images.dtype not in (np.uint8, np.float32):
            raise ArtifactError(
                f"The model takes pictures of {self.input_shape}, many at a time, as uint8 or float32;"
                f" got {images.shape} as {images.dtype}."
            )
        answers = np.empty((len(images), self.outputs), np.float32)
        for place, image in enumerate(images):
            answers[place] = self._answer(image[np.newaxis].astype(np.float32))
        return answers

    @abstractmethod
    def _answer(self, picture: np.ndarray) -> np.ndarray:
        """Returns the answer, (outputs,), to one picture, float32 (1, side, side, channels)."""


class LiteRTModel(Runtime):
    """A .tflite."""

    def __init__(self, path: Path, *, threads: int = 1):
        """Raises ArtifactError if LiteRT is not installed, or the file is no .tflite that takes one picture."""
        self._path = path
        self._interpreter = _opened(path, threads)
        given, taken = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = given[0]["index"], taken[0]["index"]
        shape, answer = tuple(map(int, given[0]["shape"])), tuple(map(int, taken[0]["shape"]))
        is_one_picture = len(given) == len(taken) == 1 and len(shape) == 4 and shape[0] == 1
        if not is_one_picture or len(answer) != 2 or given[0]["dtype"] is not np.float32:
            raise ArtifactError(
                f"{path} does not take one picture as float32 and give one row: {shape} to {answer}.",
                hint="Delete it, and it is made again from the model beside it.",
            )
        self.input_shape, self.outputs = shape[1:], answer[1]

    def _answer(self, picture: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, picture)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)[0]

    def multiply_adds(self) -> int:
        """Returns the multiply-adds of all convolutions and dense layers for one picture; FLOPs are twice as many."""
        from ai_edge_litert.schema_py_generated import BuiltinOperator, ModelT

        weighted = (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D, BuiltinOperator.FULLY_CONNECTED)
        model = ModelT.InitFromPackedBuf(self._path.read_bytes(), 0)
        (graph,) = model.subgraphs
        return sum(
            math.prod(graph.tensors[one.outputs[0]].shape[:-1].tolist())
            * math.prod(graph.tensors[one.inputs[1]].shape.tolist())
            for one in graph.operators
            if model.operatorCodes[one.opcodeIndex].builtinCode in weighted
        )


class ONNXModel(Runtime):
    """An .onnx, of two layouts: (n, side, side, channels), as ours have it, and (n, channels, side, side)."""

    def __init__(self, path: Path, *, threads: int = 1):
        """Raises ArtifactError if ONNX Runtime is not installed, or the file does not take one picture."""
        self._session = _session(path, threads)
        given, taken = self._session.get_inputs(), self._session.get_outputs()
        shape = tuple(given[0].shape)
        is_float = len(given) == 1 and given[0].type == "tensor(float)"
        is_picture = len(shape) == 4 and all(isinstance(size, int) for size in shape[1:])
        if not is_float or not is_picture or (isinstance(shape[0], int) and shape[0] != 1):
            raise ArtifactError(
                f"{path} does not take one picture as float32: {[(one.type, one.shape) for one in given]}.",
                hint="Faces are given to a model as (n, side, side, channels), or (n, channels, side, side).",
            )
        self._channels_first = shape[1] in _CHANNELS and shape[2] == shape[3]
        self._name, self._output = given[0].name, taken[0].name
        self.input_shape = (*shape[2:], shape[1]) if self._channels_first else shape[1:]
        try:
            self.outputs = int(self._answer(np.zeros((1, *self.input_shape), np.float32)).size)
        except Exception as error:  # as where it is opened
            raise _unreadable(path, error) from error

    def _answer(self, picture: np.ndarray) -> np.ndarray:
        picture = picture.transpose(0, 3, 1, 2) if self._channels_first else picture
        return np.ravel(self._session.run([self._output], {self._name: picture})[0])

    def manifest(self, *, where: str) -> Manifest | None:
        """Returns the manifest in it; None where it is from elsewhere. Raises ArtifactError."""
        text = self._session.get_modelmeta().custom_metadata_map.get("manifest", "null")
        return None if text == "null" else Manifest.from_json(text, where=where)

    def source_sha256(self) -> str | None:
        """Returns that of the .h5 that it was made from, as the export noted it."""
        text = self._session.get_modelmeta().custom_metadata_map.get("sha256")
        return json.loads(text) if text else None


def check_litert() -> None:
    """Raises ArtifactError if LiteRT is not installed: there is none for Macs with Intel processors."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise ArtifactError(f"LiteRT is not installed here ({error}).", hint=_KERAS_INSTEAD) from error


class Cost(NamedTuple):
    """What one face costs a model; None where it cannot be told."""

    parameters: int
    flops: int | None
    latency_ms: float | None
    """Of this machine, on one thread of LiteRT."""


def cost(run: Run, *, export: Path | None = None) -> Cost:
    """Returns what the run's model costs, measured now. Raises ArtifactError if its model.h5 cannot be read.

    `export` is its LiteRT form, where that is not to be the one beside it.
    """
    export = export or run.model_tflite
    with contextlib.suppress(ArtifactError):  # no export, or no LiteRT for this machine
        multiply_adds = LiteRTModel(export).multiply_adds()
        return Cost(parameters(run), multiply_adds and 2 * multiply_adds, latency_ms(export))
    return Cost(parameters(run), None, None)


def latency_ms(export: Path, *, calls: int = _CALLS) -> float | None:
    """Returns how long a .tflite takes over one face on one thread in ms, the median of many; None if there is none."""
    try:
        model = LiteRTModel(export)
    except ArtifactError:  # there is no LiteRT for every machine, and a trial counts without this figure too
        return None
    face = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape), dtype=np.uint8)
    seconds = []
    for _ in range(_WARM_UP_CALLS + calls):
        began = time.perf_counter()
        model.probabilities(face)
        seconds.append(time.perf_counter() - began)
    return round(1000 * median(seconds[_WARM_UP_CALLS:]), 3)


def _opened(path: Path, threads: int) -> "Interpreter":
    check_litert()
    from ai_edge_litert.interpreter import Interpreter

    try:
        with native_messages_hidden():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        message = f"{path} cannot be read as a LiteRT model: {first_line(error)}"
        raise ArtifactError(message, hint=_KERAS_INSTEAD) from error
    return interpreter


def _session(path: Path, threads: int):
    check_is_file(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise ArtifactError(
            f"ONNX Runtime, which reads {path.name}, is not installed.", hint="`pip install onnxruntime` brings it."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exceptions of ONNX Runtime's C++ have no common parent
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ArtifactError:
    message = f"{path} cannot be read as an ONNX model: {first_line(error)}"
    return ArtifactError(message, hint="Get it once more from its maker.")
