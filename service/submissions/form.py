"""A multipart form (RFC 7578) as a stream: a file goes where it belongs, with no stop on the way.

The framework would read the whole form into temporary files before it asks who is calling.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from autodl.errors import UsageError
from service.body import read_body

MAX_FIELD_BYTES = 64 * 1024
MAX_PARTS = 32


@dataclass(frozen=True)
class Part:
    """One field of a form. ``chunks`` must be read before the next part is asked for."""

    name: str
    filename: str | None
    chunks: Iterator[bytes]

    def read_text(self) -> str:
        """The value of a small field; ``UsageError`` (``field-invalid``) when it is not one."""
        value = bytearray()
        for chunk in self.chunks:
            value += chunk
            if len(value) > MAX_FIELD_BYTES:
                raise UsageError("field-invalid", f"The field {self.name!r} is too long.")
        return _decode(bytes(value), f"The field {self.name!r}")


def read_parts(request: Request) -> Iterator[Part]:
    """The parts of the request's form, in the order in which they arrive.

    Raises ``UsageError``: ``media-type-unsupported`` or ``form-malformed``.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UsageError(
            "media-type-unsupported",
            "The body must be multipart/form-data.",
            hint="With curl: -F file=@bundle.zip",
        )
    try:
        yield from _FormReader(read_body(request), options[b"boundary"])
    except FormParserError as error:
        raise UsageError("form-malformed", "The form is not valid multipart/form-data.") from error


@dataclass
class _Header:
    """The headers of the part that is being read; the parser bounds their size and number."""

    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""


class _FormReader:
    """Turns the parser's calls into a pull: parts, and the chunks of each.

    Of the events, bytes are data, a ``_Header`` begins a part, ``None`` ends one.
    """

    def __init__(self, body: Iterator[bytes], boundary: bytes) -> None:
        self._body = body
        self._events: deque[bytes | _Header | None] = deque()
        self._header = _Header()
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._header.name.extend(
                    data[start:end]
                ),
                "on_header_value": lambda data, start, end: self._header.value.extend(
                    data[start:end]
                ),
                "on_header_end": self._end_header,
                "on_headers_finished": lambda: self._events.append(self._header),
                "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                "on_part_end": lambda: self._events.append(None),
                "on_end": self._end_form,
            },
        )

    def __iter__(self) -> Iterator[Part]:
        count = 0
        while self._fill():
            event = self._events.popleft()
            if not isinstance(event, _Header):
                continue  # what a part's reader left
            count += 1
            if count > MAX_PARTS:
                raise UsageError("form-malformed", f"The form has more than {MAX_PARTS} fields.")
            _, options = parse_options_header(event.disposition)
            if b"name" not in options:
                raise UsageError("form-malformed", "A part of the form has no name.")
            filename = options.get(b"filename")
            yield Part(
                _decode(options[b"name"], "A field's name"),
                None if filename is None else _decode(filename, "A file's name"),
                self._read_part(),
            )
        if not self._complete:
            raise UsageError("form-malformed", "The form ends before its last boundary.")

    def _read_part(self) -> Iterator[bytes]:
        while self._fill():
            event = self._events.popleft()
            if not isinstance(event, bytes):
                return
            yield event
        raise UsageError("form-malformed", "The form ends in the middle of a field.")

    def _fill(self) -> bool:
        """Read on until there is an event; False at the end of the body."""
        while not self._events:
            chunk = next(self._body, None)
            if chunk is None:
                return False
            self._parser.write(chunk)
        return True

    def _begin_part(self) -> None:
        self._header = _Header()

    def _end_header(self) -> None:
        if self._header.name.lower() == b"content-disposition":
            self._header.disposition = bytes(self._header.value)
        self._header.name.clear()
        self._header.value.clear()

    def _end_form(self) -> None:
        self._complete = True


def _decode(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UsageError("field-invalid", f"{what} is not UTF-8.") from error
