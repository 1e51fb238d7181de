"""Which natural language the documents of a text dataset are written in."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from autodl.dataset import Dataset
from autodl.decode import decode_tensor
from autodl.text import decode_tokens

DOCUMENTS = 200  # that are looked at, evenly spaced
LETTERS = 1_000  # of each


def find_languages(dataset: Dataset, records: NDArray[np.intp]) -> dict[str, float]:
    """Share of each language (ISO 639-1) among ``records`` of a text dataset, commonest first.

    By py3langid (Lui and Baldwin 2012), each document voting with the length of its text, for
    short ones are often mistaken. Raises BundleError.
    """
    from py3langid.langid import classify

    votes: Counter[str] = Counter()
    chosen = records[np.linspace(0, len(records) - 1, min(DOCUMENTS, len(records))).astype(int)]
    for index in chosen.tolist():
        tensor = decode_tensor(dataset.record(index), dataset.metadata_)
        text = decode_tokens(tensor[:LETTERS], dataset.metadata_)[:LETTERS]
        if text.strip():
            votes[classify(text)[0]] += len(text)
    total = sum(votes.values())
    return {language: round(count / total, 3) for language, count in votes.most_common(3)}
