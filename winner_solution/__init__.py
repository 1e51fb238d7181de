"""The frozen any-time solution: a guest that knows only the contest API."""
