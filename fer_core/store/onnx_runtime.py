"""ONNX files: read with ONNX Runtime where that is installed (`pip install onnxruntime`), without TensorFlow."""

import json
from pathlib import Path

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.store.inspection import check_is_file
from fer_core.store.manifest import Manifest

_CHANNELS = (1, 3)


class ONNXModel:
    """A .onnx that is open and ready. Takes one picture at a time, as LiteRTModel does.

    Of two layouts, by its input: (n, side, side, channels), as ours have it, and (n, channels, side, side).
    """

    def __init__(self, path: Path, *, threads: int = 1):
        """Raises ArtifactError if ONNX Runtime is not installed, or the file does not take one picture."""
        self._session = _opened(path, threads)
        given, taken = self._session.get_inputs(), self._session.get_outputs()
        shape = tuple(given[0].shape)
        is_float = len(given) == 1 and given[0].type == "tensor(float)"
        if not is_float or len(shape) != 4 or not all(isinstance(size, int) for size in shape[1:]):
            raise ArtifactError(
                f"{path} does not take one picture as float32: {[(one.type, one.shape) for one in given]}.",
                hint="Faces are given to a model as (n, side, side, channels), or (n, channels, side, side).",
            )
        self._channels_first = shape[1] in _CHANNELS and shape[2] == shape[3]
        self._name, self._output = given[0].name, taken[0].name
        self.input_shape: tuple[int, int, int] = (*shape[2:], shape[1]) if self._channels_first else shape[1:]
        self.outputs = int(self._answer(np.zeros(self.input_shape, np.float32)).size)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns what the model answers, float32 (n, outputs), not calibrated.

        `images`: (n, side, side, channels), uint8 0..255, or float32 in the range that the model was trained on.
        Raises ArtifactError for another shape.
        """
        if images.shape[1:] != self.input_shape:
            raise ArtifactError(f"The model takes pictures of {self.input_shape}; got {images.shape}.")
        answers = np.empty((len(images), self.outputs), np.float32)
        for place, image in enumerate(images):
            answers[place] = self._answer(image)
        return answers

    def manifest(self, *, where: str) -> Manifest | None:
        """Returns the manifest in it; None where it is from elsewhere. Raises ArtifactError."""
        text = self._session.get_modelmeta().custom_metadata_map.get("manifest", "null")
        return None if text == "null" else Manifest.from_json(text, where=where)

    def source_sha256(self) -> str | None:
        """Returns that of the .h5 that it was made from, as the export noted it."""
        text = self._session.get_modelmeta().custom_metadata_map.get("sha256")
        return json.loads(text) if text else None

    def _answer(self, image: np.ndarray) -> np.ndarray:
        pixels = image.astype(np.float32)[np.newaxis]
        pixels = pixels.transpose(0, 3, 1, 2) if self._channels_first else pixels
        return np.ravel(self._session.run([self._output], {self._name: pixels})[0])


def _opened(path: Path, threads: int):
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
        first_line = (str(error).strip() or "no reason given").splitlines()[0][:200]
        raise ArtifactError(
            f"{path} cannot be read as an ONNX model: {first_line}", hint="Get it once more from its maker."
        ) from error
