"""An installation in a temporary folder."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from service.db import Database, migrate
from service.models import Account, Submission, Upload
from service.settings import Settings
from service.storage import FileStorage
from service.submissions import asking, service


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data=tmp_path / "data", database_url=database_url, gpus=())


@pytest.fixture
def database(settings: Settings):
    database = Database(settings.effective_database_url)
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path / "storage")


@pytest.fixture
def account_id(database: Database) -> str:
    with database.write() as session:
        account = Account(name="ada")
        session.add(account)
        session.flush()
        return account.id


@pytest.fixture
def create(account_id: str):
    """Accept a submission as the API does."""

    def create(session: Session, account: str = account_id) -> Submission:
        upload = Upload(key="uploads/x/bundle.zip", size_bytes=10, sha256="0" * 64)
        request = asking.Request("flowers", 60.0, "winner")
        return service.create_submission(session, account, request, upload)

    return create
