"""A pretrained image network that can learn on: the backbone in Keras, with a linear head.

The batch normalizations stay folded into the convolutions. That freezes their statistics, which is
what small batches of small sets need anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .backbone import MAP_STRIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .backbone import Backbone, Convolution

    Floats = NDArray[np.float32]


def trainable_network(backbone: Backbone, height: int, width: int, classes: int) -> Any:
    """A Keras network: float32 (n, any height, any width, 3) of 0..255 -> logits (n, classes).

    The head reads the features that ``image.image_features`` gives, in their order. Pictures are
    stretched to ``height`` x ``width``, multiples of 32. The head is all zeros.
    """
    import keras
    from keras import layers

    settings: list[tuple[Any, list[Floats]]] = []

    def convolve(x: Any, conv: Convolution) -> Any:
        size = conv.kernel.shape[2]
        same = backbone.padding == "same" or conv.stride == 1
        if not same:
            x = layers.ZeroPadding2D(size // 2)(x)
        shared = {"strides": conv.stride, "padding": "same" if same else "valid"}
        if conv.groups > 1:  # (channels, 1, h, w) to (h, w, channels, 1)
            layer = layers.DepthwiseConv2D(size, **shared)
            kernel = conv.kernel.transpose(2, 3, 0, 1)
        else:
            layer = layers.Conv2D(conv.kernel.shape[0], size, **shared)
            kernel = conv.kernel.transpose(2, 3, 1, 0)
        settings.append((layer, [kernel, conv.bias]))
        y = layer(x)
        return layers.ReLU(6.0)(y) if conv.relu6 else y

    inputs = keras.Input((None, None, 3))
    x = layers.Resizing(height, width)(inputs)
    mean, scale = np.asarray(backbone.mean), np.asarray(backbone.scale)
    x = convolve(layers.Normalization(mean=mean, variance=scale**2)(x), backbone.stem)
    tap = x
    for number, block in enumerate(backbone.blocks):
        wide = convolve(x, block.expand) if block.expand else x
        tap = wide if number == backbone.tap else tap
        y = convolve(convolve(wide, block.depthwise), block.project)
        x = layers.Add()([x, y]) if block.skip else y
    last = layers.GlobalAveragePooling2D()(convolve(x, backbone.head))
    grid = layers.AveragePooling2D((height // MAP_STRIDE, width // MAP_STRIDE))(tap)
    grid = layers.Flatten()(layers.Permute((3, 1, 2))(grid))  # channels first, as in ONNX
    outputs = layers.Dense(classes, kernel_initializer="zeros", name="head")(
        layers.Concatenate()([last, grid])
    )
    network = keras.Model(inputs, outputs)
    for layer, weights in settings:
        layer.set_weights(weights)
    return network
