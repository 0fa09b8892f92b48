"""Makes the browser's detector: `python -m docs.make_browser_detector FACE_DETECTION_YUNET.onnx`.

YuNet's weights (MIT licence, OpenCV's model zoo), unchanged, as a .tflite that the browser's runtime reads: the layers
are built again in Keras, and their weights are those that OpenCV finds in the .onnx. One signature for each size of
picture, since that runtime takes no others.
"""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

OUTPUT = Path(__file__).parents[1] / "fer_core" / "web" / "static" / "device" / "yunet.tflite"
SIZES = ((320, 192), (320, 256), (320, 320), (256, 320), (192, 320), (224, 224), (640, 640))
"""Width and height: 16:9, 4:3, square and the same upright, what `faces/framing.py` looks at, and photographs."""


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    arguments.output.write_bytes(converted(_weights(arguments.onnx)))


def converted(weights: list[np.ndarray]) -> bytes:
    """Returns the .tflite: from BGR 0..255, float32 (1, height, width, 3), to a row for each place of the grid.

    A row has the score of the class, of the object, box (4) and eyes (4), as YuNet gives them; strides 8, 16, 32.
    """
    import tensorflow as tf

    network = tf.Module()
    network.variables_of_layers = _variables(weights)
    signatures = {}
    for width, height in SIZES:
        spec = tf.TensorSpec((1, height, width, 3), tf.float32, name="picture")
        find = tf.function(
            lambda picture: {"rows": _rows(picture, network.variables_of_layers)}, input_signature=[spec]
        )
        signatures[f"{width}x{height}"] = find.get_concrete_function()
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(network, folder, signatures=signatures)
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures)).convert()


def _weights(path: Path) -> list[np.ndarray]:
    """Returns kernel and bias of each convolution, in the order of the file."""
    net = cv2.dnn.readNetFromONNX(str(path))
    names = [name for name in net.getLayerNames() if net.getLayer(name).type == "Convolution"]
    return [net.getParam(net.getLayerId(name), part) for name in names for part in (0, 1)]


def _variables(weights: list[np.ndarray]) -> list["tf.Variable"]:
    """Returns kernels as (height, width, in, out), and biases. Variables: all signatures share them in the file."""
    import tensorflow as tf

    turned = (one.transpose(2, 3, 1, 0) if one.ndim == 4 else one.ravel() for one in weights)
    return [tf.Variable(one, trainable=False) for one in turned]


def _rows(picture: "tf.Tensor", variables: list["tf.Variable"]) -> "tf.Tensor":
    """Returns what YuNet answers, its layers in the order of the file."""
    import tensorflow as tf

    left = iter(zip(variables[::2], variables[1::2], strict=True))

    def convolve(x, stride=1):
        kernel, bias = next(left)
        if kernel.shape[2] == 1 and kernel.shape[0] == 3:  # one kernel for each channel
            return tf.nn.depthwise_conv2d(x, tf.transpose(kernel, (0, 1, 3, 2)), [1, 1, 1, 1], "SAME") + bias
        if stride == 2:  # TensorFlow's own padding would be at the other sides
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return tf.nn.conv2d(x, kernel, stride, "VALID" if stride == 2 else "SAME") + bias

    def unit(x):
        return tf.nn.relu(convolve(convolve(x)))

    def halved(x):
        return tf.nn.max_pool2d(x, 2, 2, "VALID")

    def doubled(x):
        return tf.image.resize(x, (2 * x.shape[1], 2 * x.shape[2]), "nearest")

    x = halved(unit(tf.nn.relu(convolve(picture, stride=2))))
    of_8 = unit(unit(halved(unit(unit(unit(unit(x)))))))
    of_16 = unit(unit(halved(of_8)))
    of_32 = unit(unit(unit(halved(of_16))))
    of_16 = unit(of_16 + doubled(of_32))
    of_8 = unit(of_8 + doubled(of_16))
    levels = (of_8, of_16, of_32)
    classes, boxes, objects, points = ([convolve(convolve(level)) for level in levels] for _ in range(4))
    each = zip(classes, objects, boxes, points, strict=True)
    rows = (tf.concat([tf.sigmoid(one), tf.sigmoid(two), box, eyes[..., :4]], 3) for one, two, box, eyes in each)
    return tf.concat([tf.reshape(one, (1, -1, 10)) for one in rows], 1)


if __name__ == "__main__":
    main()
