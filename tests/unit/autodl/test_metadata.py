import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodl.errors import BundleError
from autodl.metadata import (
    DataSpecification,
    Format,
    MatrixSpec,
    find_unknown_field,
    format_metadata,
    parse_metadata,
    read_metadata,
    write_metadata,
)

counts = st.integers(-(2**31), 2**31 - 1)
maps = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), counts, max_size=5)
matrices = st.builds(
    MatrixSpec,
    col_count=counts,
    row_count=counts,
    num_channels=counts,
    is_sequence_col=st.booleans(),
    has_locality_row=st.booleans(),
    format=st.sampled_from(Format),
)
specifications = st.builds(
    DataSpecification,
    matrix_spec=st.lists(matrices, max_size=2).map(tuple),
    is_sequence=st.booleans(),
    output_dim=counts,
    label_to_index_map=maps,
    feature_to_index_map=maps,
    channel_to_index_map=maps,
    sequence_size=counts,
    sample_count=counts,
)


@given(specifications)
def test_what_is_written_reads_back(spec: DataSpecification) -> None:
    assert parse_metadata(format_metadata(spec)) == spec


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        parse_metadata(text)
    except BundleError as error:
        code = error.code
    else:
        code = ""
    assert code in ("", "metadata-invalid")


def test_sample_count_stands_where_published_solutions_look(tmp_path: Path) -> None:
    path = tmp_path / "metadata.textproto"
    write_metadata(DataSpecification(sample_count=68), path)
    lines = path.read_bytes().decode().split("\n")
    assert "sample_count: 68" in lines[:3]
    assert read_metadata(path).sample_count == 68


def test_the_empty_text_is_all_defaults() -> None:
    spec = parse_metadata("")
    assert spec == DataSpecification()
    assert spec.sequence_size == 1


@given(specifications)
def test_the_official_layout_reads_as_any_other_does(spec: DataSpecification) -> None:
    text = format_metadata(spec)
    assert parse_metadata("# it's not official\n" + text) == parse_metadata(text)


KEY_PARTS = ["a", "'", '"', "\\", "n", "u3000", "x41", "xa0", " ", "\n", "é"]


@given(st.lists(st.sampled_from(KEY_PARTS)).map("".join), st.integers(0, 9))
def test_a_key_as_written_reads_as_the_parser_of_protobuf_does(key: str, value: int) -> None:
    text = f"output_dim: 3\nlabel_to_index_map {{\n  key: '{key}'\n  value: {value}\n}}\n"
    read = []
    for variant in (text, "# it's not official\n" + text):
        try:
            read.append(parse_metadata(variant))
        except BundleError as error:
            read.append(error.code)
    assert read[0] == read[1]


def test_a_large_vocabulary_is_read_quickly() -> None:
    vocabulary = {f"tøken {number}": number for number in range(50_000)}
    text = format_metadata(DataSpecification(channel_to_index_map=vocabulary))
    started = time.process_time()
    assert parse_metadata(text).channel_to_index_map == vocabulary
    assert find_unknown_field(text) is None
    assert time.process_time() - started < 1  # protobuf's own parser takes more than two


def test_of_a_repeated_scalar_the_last_wins() -> None:
    assert parse_metadata("output_dim: 3 output_dim: 5").output_dim == 5


def test_the_text_format_is_read_in_all_its_forms() -> None:
    spec = parse_metadata("""
        matrix_spec: < format: 2, row_count: 0x10; col_count: 010 >  # hex and octal
        label_to_index_map [{ key: "a" 'b' value: 1 }, { value: 2 }]
        channel_to_index_map { key: '\\u4f60\\n' } is_sequence: t
    """)
    assert spec.matrix_spec == (MatrixSpec(8, 16, format=Format.COMPRESSED),)
    assert spec.label_to_index_map == {"ab": 1, "": 2}
    assert spec.channel_to_index_map == {"你\n": 0}
    assert spec.is_sequence


def test_an_unknown_field_is_passed_over_and_can_be_found() -> None:
    text = "output_dim: 2\nauthor: 'me'\n"
    assert parse_metadata(text).output_dim == 2
    assert find_unknown_field(text) == ("author", 2)
    assert find_unknown_field("output_dim: 2") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("output_dim: 1.5", 1),
        ("\noutput_dim 3", 2),
        ("is_sequence: FALSE", 1),
        ("label_to_index_map { key: 'x\n' }", 1),
    ],
)
def test_a_fault_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(BundleError) as caught:
        parse_metadata(text, file="metadata.textproto")
    assert caught.value.line == line
    assert caught.value.file == "metadata.textproto"


@pytest.mark.parametrize(
    ("sequence", "rows", "columns", "vocabulary", "domain"),
    [
        (1, 1, 4, {}, "tabular"),
        (1, 4, 1, {}, "tabular"),
        (1, 32, 32, {}, "image"),
        (1, -1, -1, {}, "image"),
        (-1, 1, 1, {"a": 0}, "text"),
        (-1, 1, 1, {}, "speech"),
        (-1, 120, 160, {}, "video"),
        (7, 1, 3, {}, "video"),
    ],
)
def test_the_domain_follows_the_rule_of_the_challenge(
    sequence: int, rows: int, columns: int, vocabulary: dict[str, int], domain: str
) -> None:
    spec = DataSpecification(
        (MatrixSpec(columns, rows),), sequence_size=sequence, channel_to_index_map=vocabulary
    )
    assert spec.domain == domain


def test_channels_not_said_are_three_for_images_and_else_one() -> None:
    assert MatrixSpec(format=Format.COMPRESSED).channels == 3
    assert MatrixSpec(format=Format.DENSE).channels == 1
    assert MatrixSpec(num_channels=0, format=Format.COMPRESSED).channels == 0


def test_latin1_escapes_of_the_official_formatter_are_read_as_meant() -> None:
    entry = "label_to_index_map {\n  key: '%s'\n  value: 0\n}\n"
    for written, meant in {
        r"a\xa0b": "a\u00a0b",
        r"caf\xe9\xe8": "caf\u00e9\u00e8",
        r"caf\xc3\xa9": "caf\u00e9",
        r"\x41\\xe9": "A\\xe9",
    }.items():
        spec = parse_metadata("output_dim: 2\n" + entry % written)
        assert dict(spec.label_to_index_map) == {meant: 0}
        loose = parse_metadata("output_dim: 2 # no layout\n" + entry.replace("\n", " ") % written)
        assert dict(loose.label_to_index_map) == {meant: 0}
