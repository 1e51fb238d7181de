"""Settings come from the environment, and only from there."""

import re
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from autodl.errors import UsageError
from service.settings import (
    KubernetesSettings,
    Settings,
    SlurmSettings,
    inherited_environment,
)


def test_every_setting_is_documented() -> None:
    page = Path(__file__).resolve().parents[3] / "docs/howto/operate.md"
    documented = set(re.findall(r"`((?:AUTODL|OTEL)_[A-Z_]+)`", page.read_text(encoding="utf-8")))
    asked = {
        str(field.validation_alias or f"AUTODL_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
    further = {f"AUTODL_KUBERNETES_{n.upper()}" for n in KubernetesSettings.model_fields}
    further |= {f"AUTODL_SLURM_{n.upper()}" for n in SlurmSettings.model_fields}
    assert asked <= documented <= asked | further


def test_gpus_are_given_with_commas_and_none_means_the_processor(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("AUTODL_GPUS", "0, 2")
    assert Settings(data=tmp_path).gpu_slots == ("0", "2")
    monkeypatch.setenv("AUTODL_GPUS", "")
    assert Settings(data=tmp_path).gpu_slots == ()


def test_everything_lies_in_the_data_directory_by_default(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("AUTODL_DATABASE_URL", raising=False)
    settings = Settings(data=tmp_path)
    assert settings.effective_database_url == f"sqlite:///{tmp_path}/autodl.db"
    assert settings.effective_storage == (tmp_path / "storage").as_uri()


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path) -> None:
    settings = Settings(data=tmp_path / "new")
    assert settings.read_secret() == settings.read_secret()
    assert len(settings.read_secret()) == 64
    assert (tmp_path / "new/secret").stat().st_mode & 0o777 == 0o600


def test_a_given_secret_wins_and_is_not_shown(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("AUTODL_SECRET", "open sesame, please")
    settings = Settings(data=tmp_path)
    assert settings.read_secret() == "open sesame, please"
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    "secret",
    ["", "short", "a" * 40, "change-me-please-1", "secretsecretsecret", "password12345678"],
)
def test_a_weak_secret_is_refused(secret, tmp_path) -> None:
    with pytest.raises(ValidationError, match="not be a known one"):
        Settings(data=tmp_path, secret=secret)


@pytest.mark.parametrize(
    "wrong",
    [{"sign_in_rate": "often"}, {"webhook_networks": "10.0.0.1/8"}, {"registration": "yes"}],
)
def test_a_setting_that_means_nothing_is_refused(wrong, tmp_path) -> None:
    with pytest.raises(ValidationError):
        Settings(data=tmp_path, **wrong)


def test_the_winner_is_found_without_importing_it(tmp_path) -> None:
    folder = Settings(data=tmp_path).get_solution("winner")
    assert (folder / "__init__.py").is_file()


def test_an_operator_adds_solutions_by_name(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("AUTODL_SOLUTIONS", '{"mine": "/opt/mine"}')
    assert Settings(data=tmp_path).get_solution("mine") == Path("/opt/mine")


def test_baselines_are_there_by_name(tmp_path) -> None:
    for name in ("constant", "linear", "resnet50v2", "pretrained", "finetune"):
        assert (Settings(data=tmp_path).get_solution(name) / "model.py").is_file()


def test_weights_are_a_folder_or_none(monkeypatch, tmp_path) -> None:
    assert Settings(data=tmp_path).weights is None
    for said, meant in (("none", "none"), ("", None), (str(tmp_path), str(tmp_path))):
        monkeypatch.setenv("AUTODL_WEIGHTS", said)
        assert Settings(data=tmp_path).weights == meant
    monkeypatch.setenv("AUTODL_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(ValidationError, match="there is no folder"):
        Settings(data=tmp_path)


def test_memory_is_shared_by_the_slots(monkeypatch, tmp_path) -> None:
    total = psutil.virtual_memory().total
    one, two = (Settings(data=tmp_path, gpus=gpus) for gpus in (("0",), ("0", "1")))
    assert 0 < two.effective_memory_bytes < one.effective_memory_bytes < total
    monkeypatch.setenv("AUTODL_MEMORY_BYTES", "1000000")
    assert Settings(data=tmp_path).effective_memory_bytes == 1000000


def test_an_unknown_solution_is_refused_with_the_known_ones(tmp_path) -> None:
    with pytest.raises(UsageError, match="winner") as caught:
        Settings(data=tmp_path).get_solution("os")
    assert caught.value.code == "solution-unknown"


def test_runs_inherit_no_setting_and_no_credential(monkeypatch) -> None:
    monkeypatch.setenv("AUTODL_SECRET", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    names = inherited_environment()
    assert "PATH" in names
    assert not {"AUTODL_SECRET", "AWS_SECRET_ACCESS_KEY"} & names.keys()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("lab", False)],
)
def test_only_where_nobody_else_comes_in_the_service_is_local(tmp_path, host, local) -> None:
    assert Settings(data=tmp_path, host=host).is_local is local
