"""Makes the browser's detector: `python -m docs.make_browser_detector FACE_DETECTION_YUNET.onnx`.

YuNet's weights (MIT licence, OpenCV's model zoo), unchanged, as a .tflite that the browser's runtime reads: the layers
are built again in Keras, and their weights are those that OpenCV finds in the .onnx. One signature for each size of
picture, since that runtime takes no others.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

OUTPUT = Path(__file__).parents[1] / "fer_core" / "web" / "static" / "device" / "yunet.tflite"
SIZES = ((320, 192), (320, 256), (320, 320), (256, 320), (192, 320), (224, 224), (640, 640))
"""Width and height: 16:9, 4:3, square and the same upright, what `faces/aligning.py` looks at, and photographs."""


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    arguments.output.write_bytes(converted(_weights(arguments.onnx)))


def converted(weights: list[np.ndarray]) -> bytes:
    """Returns the .tflite: from BGR 0..255, float32 (1, height, width, 3), to a row for each place of the grid.

    A row has score of the class, score of the object, box (4), eyes (4), as YuNet gives them; strides 8, 16, 32.
    """
    import tensorflow as tf

    layers = _layers(weights)
    holder = tf.Module()
    holder.layers = layers
    functions = {}
    for width, height in SIZES:
        spec = tf.TensorSpec((1, height, width, 3), tf.float32, name="picture")
        find = tf.function(lambda picture: {"rows": _rows(picture, layers)}, input_signature=[spec])
        functions[f"{width}x{height}"] = find.get_concrete_function()
        setattr(holder, f"find_{width}_{height}", find)
    return (
        tf.lite.TFLiteConverter.from_concrete_functions(list(functions.values()), holder).convert()
        if len(functions) == 1
        else _converted_signatures(holder, functions)
    )


def _converted_signatures(holder, functions) -> bytes:
    import tempfile

    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(holder, folder, signatures=functions)
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions)).convert()


def _weights(path: Path) -> list[np.ndarray]:
    """Returns kernel and bias of each convolution, in the order of the file."""
    net = cv2.dnn.readNetFromONNX(str(path))
    names = [name for name in net.getLayerNames() if net.getLayer(name).type == "Convolution"]
    return [net.getParam(net.getLayerId(name), part) for name in names for part in (0, 1)]


def _layers(weights: list[np.ndarray]) -> list:
    import tensorflow as tf

    return [
        tf.Variable(one.transpose(2, 3, 1, 0) if one.ndim == 4 else one.ravel(), trainable=False) for one in weights
    ]


def _rows(picture, variables):
    import tensorflow as tf

    left = iter(zip(variables[::2], variables[1::2], strict=True))

    def convolve(x, *, stride=1):
        kernel, bias = next(left)
        if kernel.shape[0] == 3:
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]) if stride == 2 else x
        padding = "VALID" if stride == 2 else "SAME"
        if kernel.shape[2] == 1 and kernel.shape[0] == 3:  # one kernel for each channel
            return tf.nn.depthwise_conv2d(x, tf.transpose(kernel, (0, 1, 3, 2)), [1, 1, 1, 1], padding) + bias
        return tf.nn.conv2d(x, kernel, stride, padding) + bias

    def unit(x):
        return tf.nn.relu(convolve(convolve(x)))

    def halved(x):
        return tf.nn.max_pool2d(x, 2, 2, "VALID")

    def doubled(x):
        return tf.compat.v1.image.resize_nearest_neighbor(x, (2 * x.shape[1], 2 * x.shape[2]))

    x = halved(unit(tf.nn.relu(convolve(picture, stride=2))))
    x = unit(unit(unit(unit(x))))
    of_8 = unit(unit(halved(x)))
    of_16 = unit(unit(halved(of_8)))
    of_32 = unit(unit(unit(halved(of_16))))
    of_16 = unit(of_16 + doubled(of_32))
    of_8 = unit(of_8 + doubled(of_16))
    levels = (of_8, of_16, of_32)
    classes, boxes, objects, points = ([convolve(convolve(level)) for level in levels] for _ in range(4))
    rows = []
    for level in range(3):
        whole = tf.concat(
            [tf.sigmoid(classes[level]), tf.sigmoid(objects[level]), boxes[level], points[level][..., :4]], 3
        )
        rows.append(tf.reshape(whole, (1, -1, 10)))
    return tf.concat(rows, 1)


if __name__ == "__main__":
    main()
