"""What a network from scratch sees of an example: a picture, or the mel bands of a sound as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from .. import config
from ..budget import Deadline
from ..data import Extractor, Floats, Subset, Task
from ..features.mel import MelPicture
from ..mirror import mirrors
from ..pictures import Pixels
from ..split import Rows
from .cycles import Augment, mask_bands, shift, shift_and_mirror


class View(Protocol):
    """A way to look at examples."""

    @property
    def name(self) -> str:
        """Part of the learner's name."""

    @property
    def extractor(self) -> Extractor | None:
        """Whose features it shows, if it does."""

    @property
    def range(self) -> tuple[float, float]:
        """What networks subtract, and divide by."""

    def size(self, task: Task) -> tuple[int, int]:
        """Height and width of what it shows."""

    def show(self, subset: Subset, rows: Rows, deadline: Deadline | None = None) -> Pixels | Floats:
        """(n, height, width, channels) of these rows. Raises OutOfTimeError at ``deadline``."""

    def mirrors(self, task: Task) -> bool:
        """Whether left and right may be exchanged."""

    def augment(self, task: Task) -> Augment:
        """What changes a batch and leaves its meaning."""


@dataclass(frozen=True)
class PictureView:
    """The picture itself, the longer side at most ``side``."""

    side: int
    extractor: None = None
    range: tuple[float, float] = (127.5, 64.0)

    @property
    def name(self) -> str:
        """See ``View``."""
        return str(self.side)

    def size(self, task: Task) -> tuple[int, int]:
        """See ``View``."""
        assert task.train.frame is not None
        return task.train.frame.canvas(self.side)

    def show(self, subset: Subset, rows: Rows, deadline: Deadline | None = None) -> Pixels:
        """See ``View``."""
        return subset.images(rows, self.side)

    def mirrors(self, task: Task) -> bool:
        """Measured."""
        return mirrors(task)

    def augment(self, task: Task) -> Augment:
        """Shifts, and mirroring where that may be."""
        return shift_and_mirror if mirrors(task) else shift


@dataclass(frozen=True)
class MelView:
    """Mel bands against time, one channel."""

    name: str = "mel"
    extractor: Extractor = field(default_factory=MelPicture)
    range: tuple[float, float] = (0.0, 1.0)

    def size(self, task: Task) -> tuple[int, int]:
        """See ``View``."""
        return config.MEL_PICTURE_STEPS, config.MEL_BANDS

    def show(self, subset: Subset, rows: Rows, deadline: Deadline | None = None) -> Floats:
        """See ``View``."""
        shape = (len(rows), config.MEL_PICTURE_STEPS, config.MEL_BANDS, 1)
        return subset.features(self.extractor, rows, deadline).reshape(shape)

    def mirrors(self, task: Task) -> bool:
        """High is not low, and later is not earlier."""
        return False

    def augment(self, task: Task) -> Augment:
        """SpecAugment."""
        return mask_bands
