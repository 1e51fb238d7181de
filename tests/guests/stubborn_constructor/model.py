"""A guest whose constructor never lets go."""

import time


class Model:
    def __init__(self, metadata):
        while True:
            try:
                time.sleep(60)
            except BaseException:  # noqa: BLE001
                continue
