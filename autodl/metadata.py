"""What a dataset says of itself: ``metadata.textproto`` (AutoDL formats 1.3).

The file is protobuf text of message DataSpecification. Reading follows protobuf's own rules
(the last scalar wins, fields in any order, comments); an unknown field is passed over, where the
original reader refuses the whole dataset. Writing keeps the official line order, because legacy
solutions look for ``sample_count`` in the first three lines.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_encoding, text_format

from autodl._proto import data_specification_pb2 as pb
from autodl.errors import BundleError

METADATA_NAME = "metadata.textproto"
MAX_METADATA_BYTES = 100 << 20
_UNKNOWN_FIELD = re.compile(r'has no field named "(.*)"')
_MAP_ENTRY = re.compile(  # in the official layout, as writers of large vocabularies have it
    r"(label|feature|channel)_to_index_map \{\n"
    r"""  key: ('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")\n"""
    r"  value: (-?[0-9]{1,9})\n\}\n*"
)

_ESCAPES = re.compile(r"\\\\|((?:\\x[0-9a-fA-F]{2})+)")


class Format(enum.IntEnum):
    """How a matrix is stored in the records."""

    DENSE = 0
    SPARSE = 1
    COMPRESSED = 2


@dataclass(frozen=True)
class MatrixSpec:
    """One matrix of a time step; counts of 0 or less mean "varies"."""

    col_count: int = 0
    row_count: int = 0
    num_channels: int = -1
    is_sequence_col: bool = False
    is_sequence_row: bool = False
    has_locality_col: bool = False
    has_locality_row: bool = False
    format: Format = Format.DENSE

    @property
    def channels(self) -> int:
        """``num_channels`` with -1 resolved: 3 for encoded images, else 1; 0 is "as stored"."""
        if self.num_channels == -1:
            return 3 if self.format is Format.COMPRESSED else 1
        return self.num_channels


@dataclass(frozen=True)
class DataSpecification:
    """The metadata of one subset; field names and defaults are the format's."""

    matrix_spec: tuple[MatrixSpec, ...] = ()
    is_sequence: bool = False
    output_dim: int = 0
    label_to_index_map: Mapping[str, int] = field(default_factory=dict)
    feature_to_index_map: Mapping[str, int] = field(default_factory=dict)
    channel_to_index_map: Mapping[str, int] = field(default_factory=dict)
    sequence_size: int = 1
    sample_count: int = 0

    @property
    def domain(self) -> str:
        """``image``, ``video``, ``tabular``, ``text`` or ``speech``: the rule of formats 1.8."""
        matrix = self.matrix_spec[0] if self.matrix_spec else MatrixSpec()
        if self.sequence_size == 1:
            return "tabular" if 1 in (matrix.row_count, matrix.col_count) else "image"
        if matrix.row_count == 1 and matrix.col_count == 1:
            return "text" if self.channel_to_index_map else "speech"
        return "video"


def read_metadata(path: Path) -> DataSpecification:
    """Read one ``metadata.textproto``.

    Raises BundleError: the file is missing, not UTF-8, or not this message (with its line).
    """
    return parse_metadata(read_metadata_text(path), file=str(path))


def read_metadata_text(path: Path) -> str:
    """The file's text. Raises BundleError when it is missing, too large or not UTF-8."""
    try:
        if path.stat().st_size > MAX_METADATA_BYTES:
            raise BundleError(
                "metadata-too-large",
                f"The file has more than {MAX_METADATA_BYTES:,} bytes.",
                hint="A vocabulary of a million words takes less; is this the right file?",
                file=str(path),
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BundleError(
            "metadata-missing",
            f"There is no readable {METADATA_NAME}.",
            hint=f"Each subset folder holds its records and one {METADATA_NAME}.",
            file=str(path),
        ) from error
    except UnicodeDecodeError as error:
        raise BundleError(
            "metadata-not-utf8",
            f"Byte {error.start} is not UTF-8.",
            hint="Save the file as UTF-8; label names of other encodings must be converted.",
            file=str(path),
            line=error.object.count(b"\n", 0, error.start) + 1,
        ) from error


def parse_metadata(text: str, file: str | None = None) -> DataSpecification:
    """Parse the text form; ``file`` only names it in errors.

    Raises BundleError (``metadata-invalid``) with the line at which the text stops being valid.
    """
    message = pb.DataSpecification()
    try:
        head, entries = _take_map_entries(mend_escapes(text))
        text_format.Merge(head, message, allow_unknown_field=True)
        for name, key, value in entries:
            getattr(message, f"{name}_to_index_map")[_unquote(key)] = int(value)
    except text_format.ParseError as error:
        raise _invalid(error, file) from error
    except (UnicodeError, RecursionError, ValueError) as error:
        raise BundleError(
            "metadata-invalid", f"The metadata cannot be parsed: {error}.", file=file
        ) from error
    return DataSpecification(
        matrix_spec=tuple(_matrix(m) for m in message.matrix_spec),
        is_sequence=message.is_sequence,
        output_dim=message.output_dim,
        label_to_index_map=dict(message.label_to_index_map),
        feature_to_index_map=dict(message.feature_to_index_map),
        channel_to_index_map=dict(message.channel_to_index_map),
        sequence_size=message.sequence_size,
        sample_count=message.sample_count,
    )


def _take_map_entries(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The text before its maps, and their entries (which map, key as written, value).

    Protobuf's parser takes seconds for the vocabulary of a text dataset. Where all entries stand at
    the end, in the official layout, they are taken here; otherwise the text stays whole.
    """
    start = text.find("_to_index_map {")
    start = text.rfind("\n", 0, max(0, start)) + 1
    head, maps = text[:start], text[start:]
    entries = _MAP_ENTRY.findall(maps)
    plain = head.count("{") == head.count("}") and not set(head) & set("<>#'\"")
    if not plain or _MAP_ENTRY.sub("", maps):
        return text, []
    try:
        for _, key, _ in entries:
            _unquote(key)
    except ValueError:
        return text, []  # whose parser will say in which line
    return head, entries


def _unquote(literal: str) -> str:
    """The text of a string literal. ValueError when its escapes make no UTF-8."""
    if "\\" not in literal:
        return literal[1:-1]
    try:
        return text_encoding.CUnescape(literal[1:-1]).decode("utf-8")
    except UnicodeError as error:
        raise ValueError(str(error)) from error


def mend_escapes(text: str) -> str:
    """``text`` with the official formatter's escapes of Latin-1 letters made UTF-8 (formats 1.10).

    It writes a no-break space as Python does, ``\\xa0``, which the text form takes for half a
    letter; the original reader then refuses the dataset.
    """
    return _ESCAPES.sub(_mend, text) if "\\x" in text else text


def _mend(match: re.Match[str]) -> str:
    if match[1] is None:  # an escaped backslash
        return match[0]
    codes = bytes.fromhex(match[1].replace("\\x", ""))
    try:
        codes.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"\\u{code:04x}" for code in codes)
    return match[0]


def find_unknown_field(text: str) -> tuple[str, int | None] | None:
    """The first field that the format does not know, as (name, line); None when all are known."""
    try:
        text_format.Merge(_take_map_entries(mend_escapes(text))[0], pb.DataSpecification())
    except text_format.ParseError as error:
        found = _UNKNOWN_FIELD.search(str(error))
        return (found[1], error.GetLine()) if found else None
    return None


def format_metadata(spec: DataSpecification) -> str:
    """The text of ``metadata.textproto`` in the official layout."""
    lines = [
        f"is_sequence: {_bool(spec.is_sequence)}",
        f"sample_count: {spec.sample_count}",
        f"sequence_size: {spec.sequence_size}",
        f"output_dim: {spec.output_dim}",
    ]
    for matrix in spec.matrix_spec:
        lines += [
            "matrix_spec {",
            f"  col_count: {matrix.col_count}",
            f"  row_count: {matrix.row_count}",
            f"  num_channels: {matrix.num_channels}",
            f"  is_sequence_col: {_bool(matrix.is_sequence_col)}",
            f"  is_sequence_row: {_bool(matrix.is_sequence_row)}",
            f"  has_locality_col: {_bool(matrix.has_locality_col)}",
            f"  has_locality_row: {_bool(matrix.has_locality_row)}",
            f"  format: {matrix.format.name}",
            "}",
        ]
    for name in ("label_to_index_map", "feature_to_index_map", "channel_to_index_map"):
        for key, value in getattr(spec, name).items():
            lines += [f"{name} {{", f"  key: {_quote(key)}", f"  value: {value}", "}"]
    return "\n".join(lines) + "\n"


def write_metadata(spec: DataSpecification, path: Path) -> None:
    """Write ``spec`` to ``path`` as the official formatter lays it out."""
    path.write_text(format_metadata(spec), encoding="utf-8", newline="\n")


def _matrix(message: pb.MatrixSpec) -> MatrixSpec:
    return MatrixSpec(
        col_count=message.col_count,
        row_count=message.row_count,
        num_channels=message.num_channels,
        is_sequence_col=message.is_sequence_col,
        is_sequence_row=message.is_sequence_row,
        has_locality_col=message.has_locality_col,
        has_locality_row=message.has_locality_row,
        format=Format(message.format),
    )


def _invalid(error: text_format.ParseError, file: str | None) -> BundleError:
    return BundleError(
        "metadata-invalid",
        f"The metadata cannot be parsed: {error}.",
        hint="The file is protobuf text: lines `name: value` and blocks `name { ... }`.",
        file=file,
        line=error.GetLine(),
    )


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _quote(text: str) -> str:
    """A protobuf string literal: UTF-8 as it is, quotes, backslashes and controls escaped."""
    escaped = text_encoding.CEscape(text, as_utf8=True)  # type: ignore[arg-type]  # takes str
    return f"'{escaped}'"
