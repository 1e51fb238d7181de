"""Where a solution may write, no link is followed, neither to read nor to write."""

import os
from pathlib import Path

import pytest

from autodl.untrusted import measure_tree, open_plain, remove_tree, write_over


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("secret")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


def test_a_plain_file_is_read(folder) -> None:
    (folder / "labelled").mkdir()
    (folder / "labelled/file").write_text("text")
    with open_plain(folder / "labelled/file", within=folder) as file:
        assert file.read() == b"text"


def test_links_pipes_and_folders_are_not_read(folder, secret) -> None:
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    (folder / "place").mkdir()
    for name in ("link", "pipe", "place", "nothing"):
        with pytest.raises(OSError):  # noqa: PT011 which one differs
            open_plain(folder / name)


def test_a_folder_that_is_a_link_is_not_entered(folder, secret) -> None:
    (folder / "labelled").symlink_to(secret.parent)
    with open_plain(folder / "labelled/secret") as file:
        assert file.read() == b"secret"
    with pytest.raises(OSError):  # noqa: PT011 which one differs
        open_plain(folder / "labelled/secret", within=folder)


def test_writing_replaces_what_stands_there(folder, secret) -> None:
    (folder / "link").symlink_to(secret)
    (folder / "place/inside").mkdir(parents=True)
    (folder / "file").write_text("old")
    for name in ("link", "place", "file"):
        write_over(folder / name, b"new")
        assert (folder / name).read_bytes() == b"new"
        assert not (folder / name).is_symlink()
    assert secret.read_text() == "secret"


def test_a_tree_of_any_depth_is_removed(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    for _ in range(1050):
        Path("deeper").mkdir()
        os.chdir("deeper")
    os.chdir("/")
    remove_tree(folder)
    assert not folder.exists()


def test_the_size_of_a_folder_is_known_without_following_links(folder, secret) -> None:
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").write_bytes(bytes(1 << 20))
    (folder / "a/link").symlink_to(secret.parent)
    used_bytes, files = measure_tree(folder, 1 << 21, 100)
    assert (1 << 20 <= used_bytes < 1 << 21, files) == (True, 4)
    assert measure_tree(folder, 1 << 19, 100)[0] > 1 << 19
    assert measure_tree(folder, 1 << 21, 3)[1] > 3
