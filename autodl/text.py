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

from autodl.examples import Example
from autodl.metadata import DataSpecification
from autodl.pieces import LineFile
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
        self._documents = LineFile(path)
        meta = read_meta(path.parent / "meta.json")
        self._by_character = str(meta.get("language", "")).upper() in _CHINESE
        vocabulary: dict[str, int] = {}
        for file in map(path.with_stem, _SUBSETS):
            for document in LineFile(file) if file.is_file() else ():
                for token in self._split(document):
                    vocabulary.setdefault(token, len(vocabulary))
        self._labels, classes = read_train_labels(path, meta, len(self))
        count = meta.get(f"{path.stem}_num", len(self))
        self.spec = replace(speech_specification(classes, count), channel_to_index_map=vocabulary)

    def __len__(self) -> int:
        return len(self._documents)

    def record(self, index: int) -> Example:
        """One document, a token's code per time step."""
        vocabulary = self.spec.channel_to_index_map
        codes = [vocabulary[token] for token in self._split(self._documents[index])]
        dense = np.array(codes, np.float32)[:, None]
        return labelled(Example(id=index, dense=dense), self._labels, index)

    def place(self, index: int) -> tuple[str, int]:
        """(file, document)."""
        return str(self.path), index

    def _split(self, document: str) -> list[str]:
        """The tokens, with Python's own escapes of what is not printable: so the official names
        look."""
        tokens = document if self._by_character else document.split(" ")
        return [repr(token)[1:-1] for token in tokens]


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
