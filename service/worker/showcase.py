"""What the surest mistakes look and sound like: the user's files are decoded by a child for that.

``python -m service.worker.showcase BUNDLE OUTPUT RECORDS`` is the child: it is confined before it
starts, reads the bundle and writes ``examples.json``, of which only what has its form is believed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from autodl.bundle import find_bundle
from autodl.dataset import open_subset
from autodl.gallery import Example, show_records
from autodl.processes import share_memory
from autodl.untrusted import open_plain
from service.worker.confined import Bounds, run_confined

EXAMPLES_NAME = "examples.json"
EXAMPLES_BYTES = 4 << 20
BOUNDS_BYTES, BOUNDS_SECONDS = 2 << 30, 60.0
EXAMPLES = TypeAdapter(list[Example])
SERVICE = Path(__file__).resolve().parents[1]


def show_mistakes(bundle: Path, folder: Path, rows: list[int]) -> list[Example]:
    """Those rows of the test set, made in the new ``folder``; none where the child fails."""
    if not rows:
        return []
    folder.mkdir(exist_ok=True)
    run_confined(
        "service.worker.showcase",
        [str(bundle.resolve()), str(folder.resolve()), json.dumps(rows)],
        read=(bundle, SERVICE),
        output=folder,
        log=folder.with_name(f"{folder.name}.log"),
        bounds=Bounds(min(BOUNDS_BYTES, share_memory()), EXAMPLES_BYTES, BOUNDS_SECONDS),
    )
    return [example for example in read_examples(folder) if example.record in rows]


def read_examples(folder: Path) -> list[Example]:
    """What a child left there that nobody trusts; pages do without what has not its form."""
    try:
        with open_plain(folder / EXAMPLES_NAME) as file:
            return EXAMPLES.validate_json(file.read(EXAMPLES_BYTES))
    except (OSError, ValidationError):
        return []


def main() -> None:
    """The child."""
    bundle, output = map(Path, sys.argv[1:3])
    dataset = open_subset(find_bundle(bundle).subsets["test"])
    examples = show_records(dataset, json.loads(sys.argv[3]), with_sound=True)
    text = json.dumps([example.to_json() for example in examples])
    (output / EXAMPLES_NAME).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
