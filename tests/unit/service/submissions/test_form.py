"""The streamed form gives what was sent, however the network cuts it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from service.submissions.form import _FormReader

BOUNDARY = b"b0undary"
FIELDS = st.lists(
    st.tuples(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9),
        st.none() | st.just("data.zip"),
        st.binary(max_size=300)
        | st.just(b"\r\n--b0undar")
        | st.just(b"\r\n--\r\n\r\n--b0undarx\r\n")
        | st.just(b"-" * 50),
    ),
    max_size=4,
)


def encode(fields: list[tuple[str, str | None, bytes]]) -> bytes:
    body = b""
    for name, filename, value in fields:
        extra = f'; filename="{filename}"' if filename else ""
        head = f'Content-Disposition: form-data; name="{name}"{extra}\r\nX-Other: 1\r\n\r\n'
        body += b"--" + BOUNDARY + b"\r\n" + head.encode() + value + b"\r\n"
    return body + b"--" + BOUNDARY + b"--\r\n"


@given(FIELDS, st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_every_cut_gives_the_same_parts(fields, step) -> None:
    body = encode(fields)
    cut = (body[at : at + step] for at in range(0, len(body), step))
    read = [(p.name, p.filename, b"".join(p.chunks)) for p in _FormReader(cut, BOUNDARY)]
    assert read == fields


@given(FIELDS, st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_parts_that_are_not_read_are_skipped(fields, step) -> None:
    body = encode(fields)
    cut = (body[at : at + step] for at in range(0, len(body), step))
    assert [p.name for p in _FormReader(cut, BOUNDARY)] == [name for name, _, _ in fields]


def test_a_file_is_handed_on_before_the_rest_has_come() -> None:
    asked = []

    def arriving():
        for number in range(100):
            asked.append(number)
            yield b"x" * 1000 if number else encode([("file", "a.zip", b"")])[:-16]

    reader = iter(_FormReader(arriving(), BOUNDARY))
    part = next(reader)
    next(part.chunks)
    assert len(asked) <= 3
