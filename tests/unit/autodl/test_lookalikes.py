"""Pictures that look the same are found whatever their bytes; pictures that differ are not."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from autodl.check import check
from autodl.images import probe_image
from autodl.lookalikes import CELLS, describe_look, find_lookalikes
from autodl.records import Example
from tests.hostile import datasets as make


def scene(seed: int) -> Image.Image:
    """Soft blobs of colour, as photographs are made of."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    packed = io.BytesIO()
    image.save(packed, kind, **options)
    return packed.getvalue()


def find(pictures: list[bytes]) -> list[tuple[int, int]]:
    looks = [describe_look(probe_image(data, 3).thumbnail) for data in pictures]
    first, again = find_lookalikes(
        np.array([look for look, _ in looks], np.uint64), np.array([cells for _, cells in looks])
    )
    return list(zip(first.tolist(), again.tolist(), strict=True))


def test_copies_that_were_changed_are_found() -> None:
    original = scene(0)
    copies = [
        saved(original, "JPEG", quality=40),
        saved(original.resize((80, 60))),
        saved(ImageEnhance.Brightness(original).enhance(1.05)),
        saved(original.convert("L")),
    ]
    others = [saved(scene(seed)) for seed in range(1, 200)]
    assert find([saved(original), *others, *copies]) == [(0, 200 + i) for i in range(len(copies))]


def test_flat_pictures_are_not_compared() -> None:
    assert find([saved(Image.new("RGB", (20, 20), (g, g, g))) for g in range(0, 200, 9)]) == []


def test_every_near_hash_is_found_among_many() -> None:
    random = np.random.default_rng(0)
    count = 20_000
    hashes = random.integers(1, 1 << 56, count, dtype=np.uint64)
    cells = random.integers(0, 256, (count, CELLS**2), dtype=np.uint8)
    chosen = np.arange(100, 200)
    flips = np.zeros(len(chosen), np.uint64)
    for _ in range(3):
        flips ^= np.uint64(1) << random.integers(0, 56, len(chosen), dtype=np.uint64)
    first, again = find_lookalikes(
        np.concatenate([hashes, hashes[chosen] ^ flips]), np.concatenate([cells, cells[chosen]])
    )
    found = dict(zip(again.tolist(), first.tolist(), strict=True))
    right = sum(found.get(count + i) == int(record) for i, record in enumerate(chosen))
    assert right >= 0.95 * len(chosen)
    assert len(found) == right


def test_similar_pictures_within_train_are_told(tmp_path: Path) -> None:
    def encode(index: int) -> bytes:
        return saved(scene(3).resize((100, 75))) if index == 9 else saved(scene(index))

    make.images(tmp_path, encode=encode)
    found = {finding.code: finding for finding in check(tmp_path).findings}
    assert found["similar-examples"].record == 9
    assert "records 3 and 9" in found["similar-examples"].message
    assert "duplicate-examples" not in found


def test_repeats_in_test_and_unlabelled_are_told(tmp_path: Path) -> None:
    make.table(tmp_path, test={2: Example(2, **make.row(99)), 4: Example(4, **make.row(99))})
    rows = [Example(i, **make.row(i)) for i in range(3)]
    make.write_subset(tmp_path / "d.data/unlabelled", make.spec_of(make.Format.DENSE), rows)
    found = {finding.code: finding for finding in check(tmp_path).findings}
    assert "test examples repeat another, such as records 2 and 4" in (
        found["duplicate-examples"].message
    )
    assert found["unlabelled-in-train"].message.startswith("3 unlabelled examples")
