"""A guest whose constructor sleeps, whatever is raised at it."""

import time


class Model:
    def __init__(self, metadata):
        while True:
            try:
                time.sleep(60)
            except Exception:  # noqa: BLE001
                continue
