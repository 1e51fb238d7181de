"""The programs of a run, each its own process: stage, solve beside score, publish."""
