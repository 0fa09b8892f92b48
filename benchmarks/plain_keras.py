"""The peer of `make bench`: the same networks in a plain Keras script, as a careful user would write it.

`image_dataset_from_directory`, cache, shuffle, prefetch, stock layers, float32, `compile` and `fit`. Uses nothing of
this project. Takes FER-2013 unpacked, a folder with train/ and test/. Validates on test/, as such scripts do.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import keras
import psutil
import tensorflow as tf
from keras import layers

SIDE = 48


def baseline(classes: int) -> keras.Model:
    """Returns 3 x (Conv ReLU, BatchNorm, MaxPool, Dropout), Dense 256."""
    x = inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(x)
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(0.25)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def attention(classes: int) -> keras.Model:
    """Returns 4 x (Conv ReLU L2, BatchNorm, MaxPool, Dropout), spatial attention after the second, Dense 128."""
    l2 = keras.regularizers.L2(1e-4)
    x = inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(x)
    for filters in (32, 64, 128, 256):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_regularizer=l2)(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(0.25)(x)
        if filters == 64:
            x = layers.Multiply()([x, layers.Conv2D(1, 7, padding="same", activation="sigmoid")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(128, activation="relu", kernel_regularizer=l2)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def deep_l2(classes: int) -> keras.Model:
    """Returns 4 x (Conv, BatchNorm, ReLU, MaxPool, Dropout), Dense 512 L2, BatchNorm, ReLU, Dropout."""
    x = inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(x)
    for filters, dropout in ((64, 0.3), (128, 0.3), (256, 0.4), (512, 0.4)):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(dropout)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(512, kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def resnet(classes: int) -> keras.Model:
    """Returns a stem, 1 + 2 + 2 residual blocks with squeeze and excitation, a 1x1 convolution, global pooling."""
    x = inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(x)
    x = normalised(x, 32, 3)
    x = layers.ReLU()(x)
    drops = iter((0.0, 0.0125, 0.025, 0.0375, 0.05))
    for filters, blocks in ((48, 1), (96, 2), (192, 2)):
        for place in range(blocks):
            x = residual(x, filters, halved=place == 0, drop=next(drops))
    x = normalised(x, 384, 1)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def residual(x, filters: int, *, halved: bool, drop: float):
    """Returns two convolutions, squeeze and excitation and stochastic depth, added to the input."""
    short, strides = x, 2 if halved else 1
    x = layers.ReLU()(normalised(x, filters, 3, strides=strides))
    x = normalised(x, filters, 3)
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(filters // 8, 1, activation="relu")(weights)
    x = layers.Multiply()([x, layers.Conv2D(filters, 1, activation="sigmoid")(weights)])
    x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1))(x) if drop else x
    if halved:
        short = normalised(layers.AveragePooling2D(2, padding="same")(short), filters, 1)
    return layers.ReLU()(layers.Add()([x, short]))


def normalised(x, filters: int, kernel: int, strides: int = 1):
    """Returns a convolution without bias and its batch normalisation."""
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


NETWORKS: dict[str, tuple[Callable[[int], keras.Model], float]] = {
    "baseline": (baseline, 1e-3),
    "attention": (attention, 5e-5),
    "deep_l2": (deep_l2, 5e-4),
    "resnet": (resnet, 0.1),
}
"""Each with its learning rate."""


def optimizer(network: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Returns Adam, or what the residual network wants."""
    if network == "resnet":
        return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return keras.optimizers.Adam(learning_rate)


def load_images(folder: Path, *, batch_size: int, shuffle: bool) -> tf.data.Dataset:
    """Returns batches of float32 (batch, 48, 48, 1) and one-hot labels from a folder of class folders."""
    return keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        color_mode="grayscale",
        image_size=(SIDE, SIDE),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=0,
        verbose=False,
    )


def balanced_weights(folder: Path) -> dict[int, float]:
    """Returns n / (classes x images of the class) by class number, as scikit-learn's "balanced"."""
    counts = [len(list(place.iterdir())) for place in sorted(folder.iterdir())]
    return {number: sum(counts) / (len(counts) * count) for number, count in enumerate(counts)}


class EpochLog(keras.callbacks.Callback):
    """Writes a JSON line per epoch; `seconds` is the training part alone, up to the end of its last batch."""

    def __init__(self, path: Path, *, images: int, stop_at: float):
        super().__init__()
        self._path = path
        self._images = images
        self._stop_at = stop_at
        self._process_start = psutil.Process().create_time()
        self._begin = self._end = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._begin = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._end = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = self._end - self._begin
        line = {
            "epoch": epoch + 1,
            "seconds": round(seconds, 3),
            "images_per_second": round(self._images / seconds, 1),
            "since_start": round(time.time() - self._process_start, 3),
            **{name: round(float(logs[name]), 5) for name in ("loss", "accuracy", "val_accuracy")},
        }
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        if logs["val_accuracy"] >= self._stop_at:
            self.model.stop_training = True


def main() -> None:
    """Trains one network on a folder."""
    options = parse_options()
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    keras.utils.set_random_seed(0)
    train_folder = options.data / "train"
    train = load_images(train_folder, batch_size=options.batch_size, shuffle=True)
    test = load_images(options.data / "test", batch_size=options.batch_size, shuffle=False)
    images = len(train.file_paths)
    build, learning_rate = NETWORKS[options.network]
    model = build(len(train.class_names))
    model.compile(
        optimizer=optimizer(options.network, learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy", keras.metrics.Precision(), keras.metrics.Recall(), keras.metrics.F1Score(average="macro")],
    )
    model.fit(
        train.cache().shuffle(len(train)).prefetch(tf.data.AUTOTUNE),
        validation_data=test.cache().prefetch(tf.data.AUTOTUNE),
        epochs=options.epochs,
        class_weight=balanced_weights(train_folder) if options.network == "attention" else None,
        callbacks=[EpochLog(options.log, images=images, stop_at=options.stop_at)],
        verbose=2,
    )


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--network", choices=NETWORKS, default="baseline")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="of the arithmetic; 0 = all cores")
    parser.add_argument("--stop-at", type=float, default=2.0, help="stop after the first epoch with this val_accuracy")
    parser.add_argument("--log", type=Path, required=True, help="file that gets a JSON line per epoch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
