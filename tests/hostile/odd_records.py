"""Good datasets that look odd by what is in their records, or in files of other layouts."""

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from autodl._proto import sequence_example_pb2 as pb
from autodl.metadata import Format
from autodl.records import Example, SparseValues, encode_example

from .cases import odd
from .datasets import (
    PICTURES,
    TEST,
    TRAIN,
    VIDEOS,
    images,
    labels_of,
    lines,
    matrix,
    picture,
    row,
    series,
    sparse,
    spec_of,
    speech,
    table,
    text,
    videos,
    write_bundle,
    write_subset,
)

# --- records -----------------------------------------------------------------------------------


@odd()
def records_without_ids(root: Path) -> None:
    table(root, train={i: Example(**labels_of(i), **row(i)) for i in range(TRAIN)})


@odd()
def floats_that_are_not_packed(root: Path) -> None:
    step = pb.UnpackedFloatList(value=[0.5, 1, 2, 3]).value
    floats = b"".join(b"\x0d" + struct.pack("<f", value) for value in step)
    feature = b"\x12" + bytes([len(floats)]) + floats
    message = pb.SequenceExample.FromString(encode_example(Example(3, **labels_of(3))))
    message.feature_lists.feature_list["0_dense_input"] = b"\x0a" + bytes([len(feature)]) + feature
    table(root, train={3: message.SerializeToString()})


@odd()
def records_with_features_of_their_own(root: Path) -> None:
    message = pb.SequenceExample.FromString(encode_example(Example(3, **labels_of(3), **row(3))))
    message.context.feature["source"].bytes_list.value.append(b"camera 7")
    table(root, train={3: message.SerializeToString()})


@odd()
def repeated_and_unsorted_labels(root: Path) -> None:
    many = Example(3, np.array([2, 0, 2]), np.array([1, 1, 1], np.float32), **row(3))
    table(root, train={3: many, 4: Example(4, **row(4))})


@odd()
def soft_labels(root: Path) -> None:
    soft = Example(3, np.array([0, 1]), np.array([0.3, 0.7], np.float32), **row(3))
    table(root, train={3: soft})


@odd()
def one_binary_label(root: Path) -> None:
    spec = replace(spec_of(Format.DENSE), output_dim=1)
    for subset, count in (("train", TRAIN), ("test", TEST)):
        labels = [labels_of(0) if i % 2 and subset == "train" else {} for i in range(count)]
        examples = [Example(i, **labels[i], **row(i + 50 * count)) for i in range(count)]
        write_subset(root / "d.data" / subset, spec, examples)
    (root / "d.solution").write_text("0\n1\n0\n1\n0\n1\n")


@odd("labels-one-class")
def one_test_example(root: Path) -> None:
    table(root)
    write_subset(root / "d.data/test", spec_of(Format.DENSE), [Example(0, **row(99))])
    (root / "d.solution").write_text("0 1 0\n")


@odd("labels-in-test-records")
def test_records_with_labels(root: Path) -> None:
    table(root, test={2: Example(2, **labels_of(2), **row(77))})


@odd()
def table_with_missing_values(root: Path) -> None:
    def holes(index: int) -> dict:
        values = row(index)["dense"]
        values[0, index % 4] = np.nan
        return {"dense": values}

    write_bundle(root, spec_of(Format.DENSE), holes)


@odd("values-infinite")
def table_with_infinite_values(root: Path) -> None:
    table(root, train={3: Example(3, **labels_of(3), dense=np.array([[1, 2, 3, np.inf]]))})


@odd("values-missing")
def series_with_missing_values(root: Path) -> None:
    series(root, train={3: Example(3, **labels_of(3), dense=np.array([[1], [np.nan]]))})


@odd("example-empty")
def series_without_steps(root: Path) -> None:
    series(root, train={3: Example(3, **labels_of(3), dense=np.zeros((0, 1)))})


@odd()
def series_of_one_step(root: Path) -> None:
    series(root, train={3: Example(3, **labels_of(3), dense=np.ones((1, 1)))})


@odd()
def series_of_several_channels(root: Path) -> None:
    def channels(index: int) -> dict:
        return {"dense": np.random.default_rng(index).normal(size=(9 + index, 3))}

    write_bundle(root, spec_of(Format.DENSE, -1, col_count=3), channels)


@odd()
def sparse_rows_of_zeros(root: Path) -> None:
    sparse(root, train={3: Example(3, **labels_of(3), sparse=SparseValues())})


@odd("test-in-train")
def test_example_seen_in_train(root: Path) -> None:
    table(root, test={2: Example(2, **row(5))})


@odd("duplicates-with-other-labels")
def example_with_two_truths(root: Path) -> None:
    table(root, train={3: Example(3, **labels_of(3), **row(4))})


# --- images and videos -------------------------------------------------------------------------


@odd()
def pictures_of_many_sizes(root: Path) -> None:
    spec = spec_of(Format.COMPRESSED, col_count=-1, row_count=-1, num_channels=3)
    images(root, spec, lambda i: picture(i, size=(5 + i, 30 - i)))


@odd()
def pictures_with_swapped_sizes(root: Path) -> None:
    images(root, spec_of(Format.COMPRESSED, col_count=6, row_count=8, num_channels=3))


@odd()
def pictures_of_every_mode(root: Path) -> None:
    modes = ("L", "LA", "RGB", "RGBA", "P", "1")
    images(root, PICTURES, lambda i: picture(i, mode=modes[i % 6]))


@odd()
def pictures_of_every_format(root: Path) -> None:
    formats = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
    images(root, PICTURES, lambda i: picture(i, formats[i % 5]))


@odd()
def colour_pictures_for_one_channel(root: Path) -> None:
    spec = spec_of(Format.COMPRESSED, col_count=8, row_count=6, num_channels=1)
    images(root, spec, lambda i: picture(i, ("PNG", "JPEG", "BMP")[i % 3]))


@odd()
def pictures_as_they_are_stored(root: Path) -> None:
    images(root, spec_of(Format.COMPRESSED, col_count=8, row_count=6, num_channels=0))


@odd()
def pictures_of_print(root: Path) -> None:
    images(root, PICTURES, lambda i: picture(i, "JPEG", mode="CMYK"))


@odd()
def pictures_of_sixteen_bits(root: Path) -> None:
    def deep(index: int) -> bytes:
        values = np.random.default_rng(index).integers(0, 1 << 16, (6, 8), np.uint16)
        packed = io.BytesIO()
        Image.fromarray(values).save(packed, "PNG")
        return packed.getvalue()

    images(root, PICTURES, deep)


@odd()
def pictures_of_one_pixel(root: Path) -> None:
    def dot(index: int) -> bytes:
        packed = io.BytesIO()
        Image.new("RGB", (1, 1), (index, 0, 0)).save(packed, "PNG")
        return packed.getvalue()

    images(root, PICTURES, dot)


@odd()
def progressive_pictures(root: Path) -> None:
    def progressive(index: int) -> bytes:
        packed = io.BytesIO()
        image = Image.open(io.BytesIO(picture(index, size=(40, 30))))
        image.save(packed, "JPEG", progressive=True, exif=b"Exif\0\0broken")
        return packed.getvalue()

    images(root, PICTURES, progressive)


@odd()
def videos_of_many_lengths(root: Path) -> None:
    videos(root)


@odd()
def video_frames_in_one_feature(root: Path) -> None:
    step = pb.FeatureList()
    step.feature.add().bytes_list.value.extend([picture(1), picture(2)])
    message = pb.SequenceExample.FromString(encode_example(Example(3, **labels_of(3))))
    message.feature_lists.feature_list["0_compressed"] = step.SerializeToString()
    videos(root, train={3: message.SerializeToString()})


@odd()
def animations_as_videos(root: Path) -> None:
    def animation(index: int) -> bytes:
        frames = [Image.open(io.BytesIO(picture(9 * index + f))) for f in range(3)]
        packed = io.BytesIO()
        frames[0].save(packed, "GIF", save_all=True, append_images=frames[1:])
        return packed.getvalue()

    images(root, VIDEOS, animation)


# --- other formats -----------------------------------------------------------------------------


@odd()
def text_with_odd_tokens(root: Path) -> None:
    text(root, ["", "it's", 'a"b', "\\u3000", "和", "\\", "😀", "#", "}"])


@odd()
def speech_of_an_old_protocol(root: Path) -> None:
    speech(root, protocol=0)


@odd()
def speech_of_the_newest_protocol(root: Path) -> None:
    speech(root, protocol=5)


@odd()
def speech_in_big_endian_integers(root: Path) -> None:
    speech(root, kind=">i2")


@odd()
def speech_in_doubles(root: Path) -> None:
    speech(root, protocol=2, kind="f8")


@odd("sample-count-wrong")
def speech_with_wrong_counts(root: Path) -> None:
    data = speech(root)
    (data / "meta.json").write_text('{"class_num": 3, "test_num": 7, "file_format": "wav"}')


@odd()
def speech_without_class_count(root: Path) -> None:
    data = speech(root)
    (data / "meta.json").write_text('\ufeff{"time_budget": 1800}', encoding="utf-8")


@odd()
def documents_with_windows_line_ends(root: Path) -> None:
    lines(root, end="\r\n")


@odd()
def documents_in_chinese(root: Path) -> None:
    lines(root, "ZH")


@odd()
def documents_with_an_empty_one(root: Path) -> None:
    data = lines(root)
    documents = (data / "train.data").read_text().split("\n")
    documents[4] = ""
    (data / "train.data").write_text("\n".join(documents).rstrip("\n"))


@odd()
def plain_matrix(root: Path) -> None:
    matrix(root)


@odd()
def sparse_matrix(root: Path) -> None:
    matrix(root, lambda i: f"{1 + i % 4}:0.5 {6 + i}:{i}")


@odd()
def matrix_of_ones(root: Path) -> None:
    matrix(root, lambda i: " ".join(str(1 + c) for c in range(i % 5, 30 + i, 3)))


@odd()
def matrix_with_a_validation_part(root: Path) -> None:
    matrix(root)
    for kind in ("data", "solution"):
        rows = (root / f"d_train.{kind}").read_text().splitlines(keepends=True)
        (root / f"d_train.{kind}").write_text("".join(rows[:8]))
        (root / f"d_valid.{kind}").write_text("".join(rows[8:]))


@odd()
def matrix_with_notes(root: Path) -> None:
    matrix(root)
    (root / "d_public.info").write_text("feat_num = 4\nis_sparse = 0\nname = 'd'\n")
    (root / "d_feat.name").write_text("a\nb\nc\nd\n")
    (root / "d_label.name").write_text("x\ny\nz\n")
