"""``python -m service.storage``: make the bucket of ``AUTODL_STORAGE``, if it is not there yet."""

from __future__ import annotations

from service import log
from service.settings import Settings
from service.storage import open_storage


def main() -> None:
    """A store of files needs nothing."""
    settings = Settings()
    log.configure(settings.log_format)
    open_storage(settings.effective_storage).prepare()


if __name__ == "__main__":
    main()
