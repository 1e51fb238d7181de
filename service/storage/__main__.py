"""``python -m service.storage``: make the bucket of ``AUTODL_STORAGE``, with its rules."""

from __future__ import annotations

from urllib.parse import urlsplit

from service import log
from service.settings import Settings
from service.storage import Upkeep, open_storage


def main() -> None:
    """What is there already stays; a store of files needs nothing."""
    settings = Settings()
    log.configure(settings.log_format)
    public = urlsplit(settings.public_url)
    origin = f"{public.scheme}://{public.netloc}" if public.netloc else ""
    upkeep = Upkeep(settings.keep_upload_seconds, origin)
    open_storage(settings.effective_storage).prepare(upkeep)


if __name__ == "__main__":
    main()
