"""The frozen networks compute what their authors' do, and their files cannot run code."""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from winner_solution.nets.backbone import Backbone, Block, Convolution
from winner_solution.nets.e5 import E5FileError, read_e5
from winner_solution.nets.image import image_features
from winner_solution.nets.runtime import ImageNetwork, open_session, to_rgb
from winner_solution.nets.torch_file import (
    LEGACY_MAGIC,
    LEGACY_VERSION,
    TorchFileError,
    read_torch,
)
from winner_solution.weights import get

RNG = np.random.default_rng(0)
PALACE = 698  # ImageNet-1k


class Storage:
    """Stands for a storage of float32 in the checkpoints that these tests write."""

    def __init__(self, key: str, size: int) -> None:
        self.key, self.size = key, size


class Named:
    """A name that the pickle will ask for, called with `arguments` when it is read."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Writer(pickle._Pickler):  # type: ignore[name-defined]
    """Writes the names of modules that are not here."""

    def persistent_id(self, value: object) -> object:
        if isinstance(value, Storage):
            kind = Named("torch", "FloatStorage")
            return ("storage", kind, value.key, "cpu", value.size, None)
        return None

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(value, Named):
            return super().save(value, save_persistent_id)
        self.write(b"c" + f"{value.module}\n{value.name}\n".encode())
        if value.arguments:
            super().save(value.arguments)
            self.write(pickle.REDUCE)
        return None


def pickled(value: object) -> bytes:
    stream = io.BytesIO()
    Writer(stream, protocol=2).dump(value)
    return stream.getvalue()


def tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Named:
    return Named("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, {})


def legacy(content: object, values: np.ndarray) -> bytes:
    head = b"".join(pickled(x) for x in (LEGACY_MAGIC, LEGACY_VERSION, {}, content, ["0"]))
    return head + struct.pack("<q", values.size) + values.astype("<f4").tobytes()


VALUES = np.arange(12, dtype=np.float32)


def test_a_legacy_checkpoint_gives_its_tensors_with_offsets_and_strides(tmp_path: Path) -> None:
    content = {
        "a": tensor(Storage("0", 12), 2, (2, 3), (3, 1)),
        "b": {"c": tensor(Storage("0", 12), 0, (3,), (4,))},
    }
    (tmp_path / "net.pth").write_bytes(legacy(content, VALUES))
    found = read_torch(tmp_path / "net.pth")
    np.testing.assert_array_equal(found["a"], VALUES[2:8].reshape(2, 3))
    np.testing.assert_array_equal(found["b.c"], VALUES[::4])


def test_a_zip_checkpoint_gives_its_tensors(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", pickled({"w": tensor(Storage("0", 12), 0, (12,), (1,))}))
        archive.writestr("net/data/0", VALUES.tobytes())
    np.testing.assert_array_equal(read_torch(tmp_path / "net.pt")["w"], VALUES)


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load")]
)
def test_a_checkpoint_that_asks_for_a_foreign_name_is_refused(
    tmp_path: Path, module: str, name: str
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "net.pth").write_bytes(legacy({"a": Named(module, name, f"touch {mark}")}, VALUES))
    with pytest.raises(TorchFileError, match="asks for"):
        read_torch(tmp_path / "net.pth")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (13,), (1,)), (11, (2,), (1,)), (0, (4,), (-1,)), (-1, (2,), (1,)), (0, (2, 2), (1,))],
)
def test_a_tensor_outside_of_its_storage_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    content = {"a": tensor(Storage("0", 12), offset, shape, strides)}
    (tmp_path / "net.pth").write_bytes(legacy(content, VALUES))
    with pytest.raises(TorchFileError):
        read_torch(tmp_path / "net.pth")


def test_a_checkpoint_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = legacy({"a": tensor(Storage("0", 12), 0, (12,), (1,))}, VALUES)
    for size in (*range(0, len(data) - 48, 7), len(data) - 1):
        (tmp_path / "net.pth").write_bytes(data[:size])
        with pytest.raises(TorchFileError):
            read_torch(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("name", "classifier", "pixels"),
    [("mobilenet-v2", "classifier.1", 224), ("efficientnet-lite2", "_fc", 256)],
)
def test_the_network_recognises_a_palace(name: str, classifier: str, pixels: int) -> None:
    picture = Image.fromarray(load_sample_image("china.jpg"))
    side = picture.height
    left = (picture.width - side) // 2
    square = picture.crop((left, 0, left + side, side)).resize(
        (pixels, pixels), Image.Resampling.BICUBIC
    )
    features = ImageNetwork(name, pixels, pixels, threads=1).features(np.asarray(square)[None])
    tensors = read_torch(get(name))
    last = features[0, : tensors[f"{classifier}.weight"].shape[1]]
    logits = tensors[f"{classifier}.weight"] @ last + tensors[f"{classifier}.bias"]
    assert int(logits.argmax()) == PALACE


def tiny_backbone(padding: Any) -> Backbone:
    rng = np.random.default_rng(0)

    def conv(o: int, i: int, size: int, stride: int = 1, groups: int = 1) -> Convolution:
        kernel = rng.normal(size=(o, i, size, size)).astype(np.float32)
        return Convolution(kernel, np.zeros(o, np.float32), stride, groups)

    blocks = tuple(
        Block(conv(8, 4, 1), conv(8, 1, 3, 2, 8), conv(4, 8, 1), skip=False) for _ in range(4)
    )
    ends = {"stem": conv(4, 3, 3, 2), "head": conv(6, 4, 1)}
    return Backbone(**ends, blocks=blocks, padding=padding, mean=(0, 0, 0), scale=(255, 255, 255))


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_features_do_not_depend_on_the_batch(padding: str) -> None:
    session = open_session(image_features(tiny_backbone(padding), 64, 32), threads=1)
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8)
    together = session.run(None, {"pixels": images})[0]
    alone = [session.run(None, {"pixels": images[i : i + 1]})[0] for i in range(3)]
    assert together.shape == (3, 6 + 4 * 8)
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5)


@pytest.mark.parametrize("pixels", [0, -32, 48])
def test_a_side_without_whole_cells_is_refused(pixels: int) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        image_features(tiny_backbone("same"), 64, pixels)


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])]
)
def test_any_number_of_channels_becomes_three(channels: int, expected: list[int]) -> None:
    pixels = np.broadcast_to(np.arange(channels, dtype=np.uint8), (2, 4, 4, channels))
    assert to_rgb(pixels)[0, 0, 0].tolist() == expected


def e5_file(words: np.ndarray) -> bytes:
    """A file with two pieces and one quantised tensor, (rows, 32), whose scale is 0.5."""
    header = struct.pack("<4sI7ifi", b"E5S1", 1, 32, 1, 2, 64, len(words), 8, 1, 1e-12, 32)
    pieces = struct.pack("<5iQ", 2, 0, 2, 1, 0, 3) + struct.pack("<3I2f", 0, 1, 3, 0.0, -1.5)
    normal = struct.pack("<iI", 0, 0)
    blocks = b"".join(
        struct.pack("<e", 0.5) + ((row[:16] + 8) | (row[16:] + 8) << 4).astype(np.uint8).tobytes()
        for row in words
    )
    entry = b"emb.word" + b"\1"
    at = len(header + pieces) + 3 + len(normal) + 4 + 2 + len(entry) + 20
    directory = struct.pack("<iH", 1, 8) + entry + struct.pack("<IQQ", words.size, at, len(blocks))
    return header + pieces + "aé".encode() + normal + directory + blocks


def test_four_bit_words_are_decoded_row_by_row(tmp_path: Path) -> None:
    words = RNG.integers(-8, 8, (3, 32))
    (tmp_path / "e5.bin").write_bytes(e5_file(words))
    file = read_e5(tmp_path / "e5.bin")
    assert file.pieces == [("a", 0.0), ("é", -1.5)]
    np.testing.assert_array_equal(file.words(np.array([[2, 0]])), words[[2, 0]][None] * 0.5)
    np.testing.assert_array_equal(file.matrix("emb.word", 32), words * 0.5)


def test_a_four_bit_file_that_is_cut_or_foreign_is_refused(tmp_path: Path) -> None:
    data = e5_file(RNG.integers(-8, 8, (3, 32)))
    for size in (1, 30, 60, 75, 90, 120):
        (tmp_path / "e5.bin").write_bytes(data[:size])
        with pytest.raises(E5FileError):
            read_e5(tmp_path / "e5.bin")
    (tmp_path / "e5.bin").write_bytes(data[:-1])
    with pytest.raises(E5FileError, match="outside"):
        read_e5(tmp_path / "e5.bin").matrix("emb.word", 32)
    (tmp_path / "e5.bin").write_bytes(b"E5S2" + data[4:])
    with pytest.raises(E5FileError, match="header"):
        read_e5(tmp_path / "e5.bin")
