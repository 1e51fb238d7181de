"""``python -m service.migrations``: bring the tables up to date, and end."""

from service import log
from service.db import Database, migrate
from service.settings import Settings


def main() -> None:
    """One step of an upgrade of its own, before any process of the new version starts."""
    settings = Settings()
    log.configure(settings.log_format)
    migrate(Database(settings.effective_database_url))


if __name__ == "__main__":
    main()
