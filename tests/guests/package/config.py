"""A name that would clash if it were on sys.path."""

SCORE = 0.25
