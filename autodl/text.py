"""AutoNLP datasets (AutoDL formats 5.4 and 6): a document per line beside a ``meta.json``.

Documents become what the official formatter makes of them (formats 1.7): the codes of their tokens
in a vocabulary that grows in order of first appearance over train, test and unlabelled lines.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodl.errors import BundleError
from autodl.examples import Example
from autodl.metadata import DataSpecification
from autodl.source import Source
from autodl.speech import labelled, read_meta, read_train_labels, speech_specification

_SUBSETS = ("train", "test", "unlabelled")
_CHINESE = ("ZH", "CH")  # the original documents CH and tests for ZH


class TextSource(Source):
    """One subset: ``train.data`` with ``train.solution``, ``test.data`` or ``unlabelled.data``.

    Raises BundleError when a file is missing or not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        meta = read_meta(path.parent / "meta.json")
        by_character = str(meta.get("language", "")).upper() in _CHINESE
        vocabulary: dict[str, int] = {}
        self._documents: list[NDArray[np.float32]] = []
        for name in _SUBSETS:
            file = path.with_stem(name)
            if file.is_file():
                documents = [_encode(line, by_character, vocabulary) for line in read_lines(file)]
                if file == path:
                    self._documents = documents
        self._labels, classes = read_train_labels(path, meta, len(self._documents))
        count = meta.get(f"{path.stem}_num", len(self._documents))
        self.spec = replace(speech_specification(classes, count), channel_to_index_map=vocabulary)

    def __len__(self) -> int:
        return len(self._documents)

    def record(self, index: int) -> Example:
        """One document, a token's code per time step."""
        codes = self._documents[index].reshape(-1, 1)
        return labelled(Example(id=index, dense=codes), self._labels, index)

    def place(self, index: int) -> tuple[str, int]:
        """(file, document)."""
        return str(self.path), index


def read_lines(path: Path) -> list[str]:
    """The documents of a file; one empty line at the end is not a document.

    Raises BundleError (``text-not-utf8``) with the line.
    """
    data = path.read_bytes()
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BundleError(
            "text-not-utf8",
            f"Byte {error.start} is not UTF-8.",
            hint="Save the file as UTF-8.",
            file=str(path),
            line=data.count(b"\n", 0, error.start) + 1,
        ) from error
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def decode_tokens(example: NDArray[np.float32], spec: DataSpecification) -> str:
    """The document that an example's token codes stand for; codes without a name stay numbers.

    Chinese characters are joined as they are, other tokens by spaces; escapes are undone.
    """
    names = {code: token for token, code in spec.channel_to_index_map.items()}
    codes = example.reshape(-1).astype(int).tolist()
    tokens = [_unescape(names.get(code, str(code))) for code in codes]
    separator = "" if tokens and all(len(token) == 1 for token in tokens) else " "
    return separator.join(tokens)


def _unescape(token: str) -> str:
    """Undo Python's escapes: ``\\u3000`` is one character again."""
    return re.sub(
        r"\\([\\'\"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(0[0-9a-f]|10)[0-9a-f]{4})",
        lambda match: match[0].encode("ascii").decode("unicode_escape"),
        token,
    )


def _encode(line: str, by_character: bool, vocabulary: dict[str, int]) -> NDArray[np.float32]:
    tokens = line if by_character else line.split(" ")
    # Python's own escapes of what is not printable, for that is how the official names look.
    codes = [vocabulary.setdefault(repr(token)[1:-1], len(vocabulary)) for token in tokens]
    return np.array(codes, np.float32)
