"""The small runtime: a .tflite that classifies in a fraction of a millisecond, without TensorFlow."""

import contextlib
import math
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import ArtifactError

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

_ONE_AT_A_TIME = threading.RLock()  # the process has one stderr: two threads that swap it could leave it swapped
_KERAS_INSTEAD = "`--runtime keras` does without it."


class LiteRTModel:
    """A .tflite that is open and ready. Not for several threads at once: they would share its one input.

    Takes one picture at a time, also where it gets many: eight in a batch were measured to cost as much as eight.
    """

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
        self.input_shape: tuple[int, int, int] = shape[1:]
        self.outputs: int = answer[1]

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
            self._interpreter.set_tensor(self._input, image[np.newaxis].astype(np.float32))
            self._interpreter.invoke()
            answers[place] = self._interpreter.get_tensor(self._output)[0]
        return answers

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


def check_litert() -> None:
    """Raises ArtifactError if LiteRT is not installed: there is none for Macs with Intel processors."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError as error:
        raise ArtifactError(f"LiteRT is not installed here ({error}).", hint=_KERAS_INSTEAD) from error


@contextlib.contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Converter and runtime report their progress on the process's stderr, past Python; their errors are exceptions.

    Hides what any thread writes there meanwhile.
    """
    with _ONE_AT_A_TIME:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _opened(path: Path, threads: int) -> "Interpreter":
    check_litert()
    from ai_edge_litert.interpreter import Interpreter

    try:
        with native_messages_hidden():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(
            f"{path} cannot be read as a LiteRT model: {(str(error).strip() or 'no reason given').splitlines()[0]}",
            hint=_KERAS_INSTEAD,
        ) from error
    return interpreter
