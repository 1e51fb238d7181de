"""A stored example to the tensor and labels that a solution sees (AutoDL formats 1.4, 1.5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.examples import Example, SparseValues
from autodl.images import Pixels, decode_animation, decode_image
from autodl.metadata import DataSpecification, Format, MatrixSpec

Floats = NDArray[np.float32]


def decode_tensor(example: Example, spec: DataSpecification) -> Floats:
    """float32 (sequence, row, col, channel) of matrix 0.

    Encoded images are scaled to [0, 1], and their decoded size is trusted over the metadata,
    where the original reader fails. Sparse rows stay sparse: (1, nnz, 2, 1) holds column and value
    of each entry, (n, 1, 1, 1) the token codes of sparse text. Raises BundleError.
    """
    matrix = spec.matrix_spec[0] if spec.matrix_spec else MatrixSpec()
    if matrix.format is Format.COMPRESSED:
        return decode_frames(example, spec).astype(np.float32) / np.float32(255)
    if matrix.format is Format.SPARSE:
        return _sparse(example.sparse or SparseValues(), matrix)
    return _dense(example, spec, matrix)


def decode_frames(example: Example, spec: DataSpecification) -> Pixels:
    """uint8 (frames, height, width, channels) of a COMPRESSED example. Raises BundleError.

    Of an animation (GIF, WebP), sequence_size 1 takes the first frame, any other all of them.
    """
    channels = spec.matrix_spec[0].channels
    if spec.sequence_size == 1:
        frames = [decode_image(data, channels) for data in example.compressed]
    else:
        frames = [f for data in example.compressed for f in decode_animation(data, channels)]
    if len({frame.shape for frame in frames}) != 1:
        raise frames_differ(len(frames))
    return np.stack(frames)


def frames_differ(frames: int) -> BundleError:
    """The error of an example whose ``frames`` frames are not of exactly one size."""
    if not frames:
        return BundleError("image-missing", "The record holds no image.", hint=_AGAIN)
    return BundleError(
        "frames-differ",
        "The frames of the example differ in size or channels.",
        hint="Scale all frames of one example to one size.",
    )


def decode_labels(example: Example, output_dim: int) -> Floats:
    """float32 (output_dim,): each score at its index, the last one where an index is repeated.

    Raises BundleError: ``label-score-mismatch``, ``label-out-of-range``.
    """
    index, score = example.label_index, example.label_score
    labels = np.zeros(output_dim, np.float32)
    if len(index) != len(score):
        raise BundleError(
            "label-score-mismatch",
            f"The record has {len(index)} label indices but {len(score)} label scores.",
            hint="label_index and label_score are parallel lists.",
        )
    for column, value in zip(index.tolist(), score.tolist(), strict=True):
        if not 0 <= column < output_dim:
            raise BundleError(
                "label-out-of-range",
                f"Label {column} is not one of the {output_dim} labels 0 to {output_dim - 1}.",
                hint="Number labels from 0 without gaps, and set output_dim to their count.",
            )
        labels[column] = value
    return labels


_AGAIN = "Remove the record, or format the dataset again."


def _dense(example: Example, spec: DataSpecification, matrix: MatrixSpec) -> Floats:
    rows, cols, channels = matrix.row_count, matrix.col_count, matrix.channels
    if rows <= 0 or cols <= 0 or channels <= 0:
        raise BundleError(
            "dense-size-unknown",
            f"DENSE data need positive sizes; the metadata say {rows} x {cols} x {channels}.",
            hint="Set row_count, col_count and num_channels in metadata.textproto.",
        )
    steps = example.dense
    if steps is None:
        raise BundleError(
            "dense-missing", "The record has no feature list 0_dense_input.", hint=_AGAIN
        )
    size = rows * cols * channels
    lengths = steps.shape[1:] if isinstance(steps, np.ndarray) else map(len, steps)
    wrong = next((length for length in lengths if length != size), None)
    if wrong is not None:
        raise BundleError(
            "dense-length-mismatch",
            f"A time step holds {wrong} values; {rows} x {cols} x {channels} is {size}.",
            hint="Every step holds row * col * channel floats; correct the metadata or the data.",
        )
    if spec.sequence_size not in (-1, len(steps)):
        raise BundleError(
            "sequence-length-mismatch",
            f"The record has {len(steps)} time steps; the metadata say {spec.sequence_size}.",
            hint="Set sequence_size to -1 when lengths vary.",
        )
    return np.asarray(steps, np.float32).reshape(len(steps), rows, cols, channels)


def _sparse(sparse: SparseValues, matrix: MatrixSpec) -> Floats:
    if matrix.col_count <= 0:
        raise BundleError(
            "sparse-size-unknown",
            "SPARSE data need a positive col_count.",
            hint="Set col_count in metadata.textproto to the number of features.",
        )
    if matrix.col_count <= matrix.channels:  # sparse text: only the token codes are kept
        return sparse.channel.astype(np.float32).reshape(-1, 1, 1, 1)
    if len(sparse.col) != len(sparse.value):
        raise BundleError(
            "sparse-length-mismatch",
            f"The record has {len(sparse.col)} column indices but {len(sparse.value)} values.",
            hint=_AGAIN,
        )
    pairs = np.stack([sparse.col.astype(np.float32), sparse.value], axis=1)
    return pairs.reshape(1, -1, 2, 1)
