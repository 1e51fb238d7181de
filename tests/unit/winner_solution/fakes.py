"""Datasets in memory, with the interface that the contest gives to a solution."""

import io

import numpy as np
from PIL import Image


class FakeMetadata:
    """The original accessors, from plain values."""

    def __init__(self, shape, classes, compressed=False, sparse=False, vocabulary=()):
        self._shape, self._classes = shape, classes
        self._compressed, self._sparse = compressed, sparse
        self._vocabulary = {token: code for code, token in enumerate(vocabulary)}

    def get_tensor_shape(self, bundle_index=0):
        return self._shape

    def is_compressed(self, bundle_index=0):
        return self._compressed

    def is_sparse(self, bundle_index=0):
        return self._sparse

    def get_output_size(self):
        return self._classes

    def get_channel_to_index_map(self):
        return self._vocabulary


class FakeDataset:
    """Examples are arrays (T, H, W, C), or lists of encoded frames."""

    def __init__(self, examples, labels, metadata):
        self._examples, self.metadata = examples, metadata
        self._labels = np.asarray(labels, np.float32)

    def __len__(self):
        return len(self._examples)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        example = self._examples[index]
        if isinstance(example, list):
            example = np.stack([np.asarray(Image.open(io.BytesIO(d))) for d in example]) / 255
            example = example.reshape(*example.shape[:3], -1)
        return np.asarray(example, np.float32), self._labels[index]

    def labels(self):
        return self._labels

    def encoded(self, index):
        example = self._examples[index]
        return example if isinstance(example, list) else []

    def get_metadata(self):
        return self.metadata


def one_hot(targets, classes):
    return np.eye(classes, dtype=np.float32)[np.asarray(targets)]


def png(pixels):
    """An encoded picture of a uint8 array (H, W) or (H, W, 3)."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return out.getvalue()


def drive(model_class, train, test, budget_seconds, most_calls=1000):
    """Run a model as the platform does; returns (predictions, seconds of each)."""
    import time

    model = model_class(train.metadata)
    predictions, seconds = [], []
    start = time.monotonic()
    while not model.done_training and len(predictions) < most_calls:
        left = budget_seconds - (time.monotonic() - start)
        if left <= 0:
            break
        model.train(train, remaining_time_budget=left)
        left = budget_seconds - (time.monotonic() - start)
        predictions.append(model.test(test, remaining_time_budget=left))
        seconds.append(time.monotonic() - start)
    return predictions, seconds
