"""Speech and other audio: mono float32 in [-1, 1] at one rate, as the challenge's speech sets."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.metadata import Format, MatrixSpec
from autodl.records import Example
from formatter.readers.files import FileSource, Place
from formatter.source import Options, Shape, require_media


class AudioSource(FileSource[NDArray[np.float32]]):
    """A folder of audio files. Raises BundleError (``audio-unreadable``) and what files raise."""

    kind = "audio"
    suffixes = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif"})

    @staticmethod
    def load(place: Place, options: Options) -> NDArray[np.float32]:
        """See ``FileSource``: float32 (samples,), channels averaged, resampled."""
        with require_media("audio"):
            import soundfile
            import soxr
        try:
            wave, rate = soundfile.read(io.BytesIO(place.read()), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BundleError(
                "audio-unreadable", f"The audio cannot be read: {error.error_string}"
            ) from error
        mono = wave.mean(1)
        if not len(mono):
            raise BundleError("audio-unreadable", "The audio holds no sample.")
        if not np.isfinite(mono).all():
            raise BundleError("audio-unreadable", "The audio holds samples that are no numbers.")
        if rate != options.sample_rate:
            mono = soxr.resample(mono, rate, options.sample_rate)
        return np.asarray(mono, np.float32)

    def encode(self, loaded: NDArray[np.float32]) -> Example:
        """See ``FileSource``: one step a sample."""
        return Example(dense=loaded[:, None])

    def shape(self) -> Shape:
        """A sequence of single values, of any length."""
        return Shape(
            MatrixSpec(row_count=1, col_count=1, num_channels=1, format=Format.DENSE),
            sequence_size=-1,
        )
