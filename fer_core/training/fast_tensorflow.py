"""What TensorFlow on a CPU does faster than stock Keras while training. The only module that knows TensorFlow ops.

Each layer has the weights, the configuration and the arithmetic of the stock one, so that what is saved is stock Keras:
`make_training_model` puts them in, and `trained weights` go back into the stock network by `set_weights`.
"""

import keras
import tensorflow as tf


def as_tensorflow_dataset(batches: keras.utils.PyDataset) -> tf.data.Dataset:
    """Returns the batches of a PyDataset, prefetched, for `fit`.

    Keras' own wrapping leaves autotuning on, whose thread often wakes only after 5, 10, 20, 41 … seconds when an
    iterator ends: an epoch of 13 s then takes 20.5 s (seen with TensorFlow 2.21).
    """
    # Every batch is whole, so the first one has the shape of all.
    signature = tf.nest.map_structure(lambda part: tf.TensorSpec(part.shape, part.dtype), batches[0])
    dataset = tf.data.Dataset.from_generator(
        lambda: (batches[place] for place in range(len(batches))), output_signature=signature
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(4).with_options(options)


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization whose training step is one kernel; Keras' own casts to float32 and runs a dozen.

    Activations stay in the compute dtype, statistics are float32.
    """

    def build(self, input_shape):
        """Makes the four vectors, and keeps them float32 where the activations are bfloat16."""
        super().build(input_shape)
        self.autocast = False

    def call(self, inputs, training=None, mask=None):
        """Returns the normalised activations and updates the moving statistics."""
        if not (training and self.trainable) or len(inputs.shape) not in (2, 4):
            return super().call(inputs, training=training, mask=mask)
        activations = tf.cast(inputs, self.compute_dtype)
        flat = len(inputs.shape) == 2
        outputs, mean, variance = self._normalised(activations[:, None, None, :] if flat else activations)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs[:, 0, 0, :] if flat else outputs

    def _normalised(self, activations):
        count = tf.cast(tf.reduce_prod(tf.shape(activations)[:3]), "float32")
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=activations,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.convert_to_tensor(self.moving_mean),
            variance=tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel returns the sample variance (n - 1); Keras keeps the population variance (n).
        return outputs, mean, variance * (count - 1) / count


class ByteDropout(keras.layers.Dropout):
    """Dropout that spends 8 random bits on a value instead of 32 and a float: the rate is rounded to 1/256."""

    def call(self, inputs, training=False):
        """Returns the inputs with some set to 0 and the others enlarged to keep the mean."""
        if not training or self.rate == 0 or self.noise_shape is not None:
            return super().call(inputs, training=training)
        kept = min(max(round((1 - self.rate) * 256), 1), 255)
        size = tf.size(inputs)
        words = tf.random.stateless_uniform(
            [(size + 3) // 4], tf.cast(self.seed_generator.next(), "int32"), minval=None, maxval=None, dtype="int32"
        )
        random_bytes = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size]
        mask = tf.reshape(random_bytes < tf.constant(kept, tf.uint8), tf.shape(inputs))
        return tf.where(mask, inputs * tf.cast(256 / kept, inputs.dtype), tf.zeros((), inputs.dtype))


class FusedAdam(keras.optimizers.Adam):
    """Adam whose update of a weight is one pass over memory; Keras' own makes a dozen."""

    def update_step(self, gradient, variable, learning_rate):
        """Changes `variable` and its two moments by the rule of Adam (arXiv 1412.6980)."""
        if isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        step = tf.cast(self.iterations.value + 1, "float32")
        place = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=_resource(variable),
            m=_resource(self._momentums[place]),
            v=_resource(self._velocities[place]),
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, "float32"),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, "float32"),
            use_locking=True,
        )


class FusedSGD(keras.optimizers.SGD):
    """Nesterov momentum whose update of a weight is one pass over memory; Keras' own makes half a dozen."""

    def update_step(self, gradient, variable, learning_rate):
        """Changes `variable` and its momentum."""
        if isinstance(gradient, tf.IndexedSlices) or not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=_resource(variable),
            accum=_resource(self.momentums[self._get_variable_index(variable)]),
            lr=tf.cast(learning_rate, "float32"),
            grad=tf.cast(gradient, "float32"),
            momentum=self.momentum,
            use_locking=True,
            use_nesterov=self.nesterov,
        )


def _resource(variable):
    """Keras hands over its own variables or TensorFlow's."""
    return (variable if isinstance(variable, tf.Variable) else variable.value).handle
