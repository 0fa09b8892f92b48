"""Makes model files with Keras, harmless and hostile ones: `python model_zoo.py FOLDER`.

A hostile file writes FOLDER/ran/NAME if it runs. `ran.json` says of each whether it did when Keras was allowed to.
"""

import json
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers

from fer_core import networks
from fer_core.config import TrainConfig

LABELS = ("angry", "happy", "sad")


def picture():
    return keras.Input((16, 16, 1), name="picture")


def ended(x):
    return layers.Dense(3, activation="softmax", name="answer")(layers.Flatten()(x))


def spy(marker, shape=(16, 16, 1)):
    """Code that leaves a file behind when it runs. The path stands in the code, which is all that a .h5 keeps of it."""
    code = eval(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]")
    return layers.Lambda(code, output_shape=shape, name="bad")


class Own(layers.Layer):
    """A class of one's own; what it does when it is made stands for all that it could do."""

    def __init__(self, marker, **rest):
        super().__init__(**rest)
        self.marker = marker
        Path(marker).touch()

    def call(self, x):
        return x

    def get_config(self):
        return super().get_config() | {"marker": self.marker}


def own_initializer(shape, dtype=None):
    return keras.ops.zeros(shape, dtype)


def in_a_model(marker):
    inner = keras.Input((16, 16, 1))
    return keras.Model(inner, spy(marker)(inner), name="nested")


HOSTILE = {
    "lambda_at_top": spy,
    "lambda_in_a_nested_model": in_a_model,
    "lambda_in_a_wrapper": lambda marker: layers.TimeDistributed(spy(marker, (16, 1)), name="wrapper"),
    "custom_class": lambda marker: Own(str(marker), name="bad"),
}
REFUSED = {
    "activation_lambda": lambda _: layers.Conv2D(2, 3, activation=lambda value: value * 2.0, name="bad"),
    "initializer_function": lambda _: layers.Conv2D(2, 3, kernel_initializer=own_initializer, name="bad"),
}
"""Keras itself would not run these."""


def many_layers():
    """Layers of all kinds that a description can hold in ways of its own."""
    x = first = picture()
    x = layers.RandomFlip("horizontal")(layers.Normalization(mean=[3.0], variance=[2.0])(x))
    x = layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L1L2(1e-4, 1e-4), kernel_constraint="max_norm")(x)
    x = layers.BatchNormalization(gamma_initializer=keras.initializers.Constant(0.5))(x)
    x = layers.SeparableConv2D(4, 3, padding="same", activation=layers.LeakyReLU(0.2), use_bias=False)(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.DepthwiseConv2D(3, activation="hard_sigmoid")(x))
    x = layers.ZeroPadding2D(((0, 1), (1, 0)))(layers.UpSampling2D(2)(layers.SpatialDropout2D(0.1)(x)))
    x = layers.Multiply()([x, layers.Activation("silu")(layers.LayerNormalization()(x))])
    x = layers.MaxPooling2D(8)(x)  # else the LSTM takes thousands of steps
    rows = layers.TimeDistributed(layers.Dense(4, activation="relu"))(layers.Reshape((-1, 4))(x))
    rows = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(rows)
    rows = layers.MultiHeadAttention(2, 3)(rows, rows)
    return keras.Model(first, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(rows)))


def nested():
    base = keras.Sequential([keras.Input((16, 16, 1)), layers.Conv2D(2, 3), layers.ReLU()], name="base")
    return keras.Sequential([base, layers.GlobalMaxPooling2D(), layers.Dense(3), layers.Softmax()])


def mini_xception():
    """As the model that the field uses most is built: separable convolutions, residuals, no dense layer at the end."""
    x = first = keras.Input((64, 64, 1), name="input_1")
    for number in range(2):
        x = layers.Conv2D(8, 3, use_bias=False, name=f"conv2d_{number}")(x)
        x = layers.Activation("relu", name=f"act_{number}")(layers.BatchNormalization(name=f"bn_{number}")(x))
    short = layers.BatchNormalization(name="bn_short")(layers.Conv2D(16, 1, strides=2, padding="same", name="short")(x))
    settings = {"padding": "same", "use_bias": False, "depthwise_regularizer": keras.regularizers.L2(0.01)}
    x = layers.BatchNormalization(name="bn_sep")(layers.SeparableConv2D(16, 3, name="sep", **settings)(x))
    x = layers.Add(name="add")([layers.MaxPooling2D(3, strides=2, padding="same", name="pool")(x), short])
    x = layers.GlobalAveragePooling2D(name="gap")(layers.Conv2D(7, 3, padding="same", name="last")(x))
    return keras.Model(first, layers.Activation("softmax", name="predictions")(x), name="model_1")


DEAD = {"groups": 1, "kernel_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None}
"""What Keras 2.4 wrote of separable convolutions beside their own settings."""
POLICY = {"class_name": "Policy", "config": {"name": "mixed_float16"}}


def as_keras_2(node):
    """Returns a description as Keras 2 wrote it: no modules, other shapes, connections as plain lists."""
    if isinstance(node, list):
        return [as_keras_2(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: as_keras_2(item) for key, item in node.items() if key not in ("module", "registered_name")}
    if node.get("class_name") == "DTypePolicy":
        return POLICY
    if node.get("class_name") in ("SeparableConv2D", "DepthwiseConv2D"):
        node["config"] |= DEAD | {"kernel_constraint": None}
    if node.get("class_name") == "Conv2DTranspose":
        node["config"]["groups"] = 1
    if node.get("class_name") == "SpatialDropout2D":
        node["config"]["noise_shape"] = None
    if node.get("class_name") == "LeakyReLU":
        node["config"]["alpha"] = node["config"].pop("negative_slope")
    if node.get("class_name") == "ReLU":
        node["config"]["max_value"] = {"type": "ndarray", "value": 6.0}
    if "batch_shape" in node:
        node = {"batch_input_shape": node["batch_shape"], "dtype": node["dtype"], "sparse": False, "name": node["name"]}
    if node.get("class_name") == "BatchNormalization":
        node["config"] |= {"axis": [3], "renorm": False}
    if "inbound_nodes" in node:
        node["inbound_nodes"] = [old_connections(connections) for connections in node["inbound_nodes"]]
    for key in ("input_layers", "output_layers"):
        if key in node:
            node[key] = [node[key]]
    return node


def old_connections(new):
    (tensors,) = new["args"]
    tensors = tensors if isinstance(tensors, list) else [tensors]
    return [[*tensor["config"]["keras_history"], {}] for tensor in tensors]


def in_a_row():
    """A Sequential, as Keras 2 wrote it: a bare list of layers, the first of which says what it takes."""
    steps = [layers.DepthwiseConv2D(3), layers.LeakyReLU(0.1), layers.ReLU(6.0), layers.Conv2DTranspose(2, 3)]
    steps += [layers.SpatialDropout2D(0.1), layers.Flatten(), layers.Dense(3, activation="softmax")]
    return keras.Sequential([keras.Input((16, 16, 1)), *steps])


def as_a_bare_list(description):
    first, *others = description["config"]["layers"]
    others[0]["config"]["batch_input_shape"] = first["config"]["batch_input_shape"]
    return {"class_name": "Sequential", "config": others}


def write_keras_2(path, model, change):
    """Writes the model as Keras 2 did, and beside it what the same one of Keras 3 answers on pictures of noise."""
    keras.utils.set_random_seed(1)
    for weights in model.weights:
        weights.assign(keras.random.uniform(weights.shape, 0.1, 0.9) - (0.0 if "variance" in weights.path else 0.4))
    pictures = keras.random.uniform((4, *model.input_shape[1:]))
    np.savez(path.with_suffix(".npz"), pictures=pictures, answers=model(pictures))
    model.save(path)
    with h5py.File(path, "r+") as file:
        description = change(as_keras_2(json.loads(file.attrs["model_config"])))
        file.attrs["model_config"] = json.dumps(description).encode()
        file.attrs["keras_version"] = b"2.1.6"
        file.attrs["training_config"] = b'{"loss": {"class_name": "anything"}, "optimizer_config": {"lr": 0.1}}'


def write_in_two_files(folder, model):
    """Writes a network and its weights as tutorials do: once as Keras 2, once as Keras 3 writes weights."""
    folder.mkdir()
    model.save(folder / "whole.h5")
    with h5py.File(folder / "whole.h5") as whole, h5py.File(folder / "fer_weights.h5", "w") as weights:
        for name, value in whole["model_weights"].attrs.items():
            weights.attrs[name] = value
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", weights)
        (folder / "fer_structure.json").write_text(json.dumps(as_keras_2(json.loads(whole.attrs["model_config"]))))
    (folder / "model.json").write_text(json.dumps(model.to_json()))
    model.save_weights(folder / "model.weights.h5")
    (folder / "labels.txt").write_text("0 Angry\n1 Happy\n2 Sad\n")


def main(folder):
    (folder / "ran").mkdir()
    ran = {}
    for name, make in (HOSTILE | REFUSED).items():
        for suffix in (".h5", ".keras"):
            path = folder / (name + suffix)
            marker = folder / "ran" / path.name
            x = picture()
            keras.Model(x, ended(make(marker)(x))).save(path)
            marker.unlink(missing_ok=True)
            ran[path.name] = name in HOSTILE and runs(path, marker)
    (folder / "ran.json").write_text(json.dumps(ran))
    for make in (many_layers, nested):
        for suffix in (".h5", ".keras"):
            make().save(folder / f"{make.__name__}{suffix}")
    smoke, compact = (networks.build(TrainConfig(network=name), LABELS) for name in ("smoke", "compact"))
    smoke.save(folder / "own_smoke.h5")
    for suffix in (".h5", ".keras"):
        compact.save(folder / f"own_compact{suffix}")
    write_keras_2(folder / "keras_2.hdf5", mini_xception(), lambda description: description | {"class_name": "Model"})
    write_keras_2(folder / "bare_list.h5", in_a_row(), as_a_bare_list)
    write_in_two_files(folder / "two_files", in_a_row())
    many_layers().save_weights(folder / "only.weights.h5")


def runs(path, marker):
    """Returns whether the file runs its code where Keras is told to trust it. Leaves no mark."""
    model = keras.models.load_model(path, compile=False, safe_mode=False, custom_objects={"Own": Own})
    model(np.zeros((1, 16, 16, 1), np.float32))
    has_run = marker.exists()
    marker.unlink(missing_ok=True)
    return has_run


if __name__ == "__main__":
    main(Path(sys.argv[1]))
