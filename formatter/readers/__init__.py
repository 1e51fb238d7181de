"""One reader a kind of source: `read(source) -> examples`."""
