"""The web API, the pages, the reconciler and the four programs of a run."""
