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

    def get_feature_to_index_map(self):
        return {f"column{i}": i for i in range(self._shape[2])}


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
        prediction = model.test(test, remaining_time_budget=left)
        if prediction is None:
            break
        predictions.append(prediction)
        seconds.append(time.monotonic() - start)
    return predictions, seconds


def generate(domain, n, classes, seed=0, multilabel=False, sort=False):
    """A small dataset whose classes can be told apart; sounds, words and pictures are made up."""
    rng = np.random.default_rng(seed)
    if multilabel:
        labels = (rng.random((n, classes)) < 0.4).astype(np.float32)
        labels[:2] = [[1], [0]]
    else:
        targets = rng.integers(classes, size=n)
        targets[:classes] = np.arange(classes)
        labels = one_hot(np.sort(targets) if sort else targets, classes)
    examples = [_EXAMPLE[domain](label, rng) for label in labels]
    return FakeDataset(examples, labels, _METADATA[domain](classes))


def _table(label, rng):
    x = rng.normal(size=(1, 1, len(label) + 6, 1))
    x[0, 0, : len(label), 0] += 2 * label
    x[0, 0, -1, 0] = np.nan if rng.random() < 0.2 else rng.integers(4)
    return x


def _sparse(label, rng):
    columns = rng.choice(np.arange(10, 300), 6, replace=False)
    pairs = [(c, 1 + rng.random()) for c in [*np.flatnonzero(label), *columns]]
    return np.array(pairs, float).reshape(1, -1, 2, 1)


def _text(label, rng):
    words = rng.integers(20, 200, size=rng.integers(3, 20))
    marks = np.repeat(np.flatnonzero(label), 2)
    return rng.permutation([*words, *marks]).astype(float).reshape(-1, 1, 1, 1)


def _series(label, rng):
    t = np.arange(rng.integers(20, 30))
    wave = sum(np.sin(t * (0.3 + 0.5 * c)) for c in np.flatnonzero(label))
    x = np.stack([wave + np.zeros(len(t)), rng.normal(size=len(t))], axis=1)
    return (x + 0.3 * rng.normal(size=x.shape)).reshape(-1, 1, 2, 1)


def _audio(label, rng):
    t = np.arange(rng.integers(2500, 4000))
    wave = sum(np.sin(t * (0.1 + 0.4 * c)) for c in np.flatnonzero(label))
    return (wave + 0.5 * rng.normal(size=len(t))).reshape(-1, 1, 1, 1)


def _pixels(label, rng):
    picture = rng.integers(0, 120, size=(20, 24, 3))
    for c in np.flatnonzero(label):
        picture[4 * c : 4 * c + 4, 3:20] += 120
    return picture.astype(np.uint8)


def _image(label, rng):
    return [png(_pixels(label, rng))]


def _video(label, rng):
    frames = [rng.integers(0, 60, size=(16, 16)) for _ in range(rng.integers(4, 7))]
    for i, frame in enumerate(frames):
        for c in np.flatnonzero(label):
            frame[3 * c : 3 * c + 3, 2 * i : 2 * i + 4] += 150
    return [png(frame.astype(np.uint8)) for frame in frames]


_EXAMPLE = {
    "table": _table,
    "sparse": _sparse,
    "text": _text,
    "series": _series,
    "audio": _audio,
    "image": _image,
    "video": _video,
}
_METADATA = {
    "table": lambda c: FakeMetadata((1, 1, c + 6, 1), c),
    "sparse": lambda c: FakeMetadata((1, 1, 300, 1), c, sparse=True),
    "text": lambda c: FakeMetadata((-1, 1, 1, 1), c, vocabulary=[f"word{i}" for i in range(200)]),
    "series": lambda c: FakeMetadata((-1, 1, 2, 1), c),
    "audio": lambda c: FakeMetadata((-1, 1, 1, 1), c),
    "image": lambda c: FakeMetadata((1, -1, -1, 3), c, compressed=True),
    "video": lambda c: FakeMetadata((-1, -1, -1, 1), c, compressed=True),
}
