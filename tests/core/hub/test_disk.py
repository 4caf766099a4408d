"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from onnxembed.hub.disk import link_to, remove_tree, write_failure, write_text
from onnxembed.hub.identity import digest_like


def test_a_failed_write_leaves_the_former_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_text(path, "former")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="full"):
        write_text(path, "newer")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("file", "former")]


def test_without_symbolic_links_a_hard_link_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: object) -> None:
        raise OSError(errno.EPERM, "not allowed")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    (tmp_path / "blob").write_text("content")

    link_to(tmp_path / "blob", tmp_path / "a" / "b")

    assert not (tmp_path / "a" / "b").is_symlink()
    assert (tmp_path / "a" / "b").samefile(tmp_path / "blob")


def test_a_link_is_replaced(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        link_to(tmp_path / name, tmp_path / "link")

    assert (tmp_path / "link").readlink() == Path("two")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "one", "two"]


def test_removing_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "outside")

    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "none")

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["outside"]
    assert (tmp_path / "outside" / "file").read_text() == "x"


@pytest.mark.parametrize(
    ("expected", "digest"),
    [
        # What `git hash-object` and `sha256sum` say of "hello\n".
        ("0" * 40, "ce013625030ba8dba906f756967f9e9ca394464a"),
        ("0" * 64, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
    ],
)
def test_digests(tmp_path: Path, expected: str, digest: str) -> None:
    (tmp_path / "file").write_bytes(b"hello\n")

    assert digest_like(tmp_path / "file", expected) == digest


def test_a_full_disk_has_its_own_advice(tmp_path: Path) -> None:
    assert write_failure(tmp_path, OSError(errno.ENOSPC, "x")).startswith("the disk is full: ")
    assert "cannot be written at" in write_failure(tmp_path, OSError(errno.EROFS, "read-only"))
