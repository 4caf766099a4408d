"""The stages of ``modules.json``, in their order, under the names that sentence-transformers 2 to 6 have given them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.errors import ModelError, UnsafeModelError, UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.hub.folder import CONFIG_FILE, safe_relative
from onnxembed.metadata.harmless import ENTRY_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection

    from onnxembed.hub.files import Files

STAGES_FILE = "modules.json"
# Of names that every file system takes.
_LONGEST_PATH = 255
# Packages whose classes are known here; those of any other package that only have the same name are not.
_PACKAGES = ("sentence_transformers", "pylate")


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline.

    Attributes:
        kind: Its class without the package, such as ``Pooling``; of a package that is not known here the whole name.
        path: Its folder; empty for the model's own.
        package: The first part of the class's name, such as ``sentence_transformers``.
        entry: What the list says of it.
    """

    kind: str
    path: str
    package: str
    entry: Facts = field(compare=False, repr=False)

    def file(self, name: str) -> str:
        """Give the name of a file in the stage's folder, relative to the model's."""
        return PurePosixPath(self.path, name).as_posix()

    def config(self, files: Files) -> Facts:
        """Give the stage's own ``config.json``; empty where there is none."""
        return files.facts(self.file(CONFIG_FILE))


def read_stages(files: Files) -> tuple[Stage, ...]:
    """Read ``modules.json``; empty where there is none.

    What is no list of stages is a `ModelError`, a stage outside the folder an `UnsafeModelError`.
    """
    listed = files.json(STAGES_FILE)
    if listed is None:
        return ()
    label = files.label(STAGES_FILE)
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ModelError(f"{label} is no list of stages; fetch the file again")
    return tuple(_stage(Facts(entry, f"{label}, stage {number}")) for number, entry in enumerate(listed))


def _stage(entry: Facts) -> Stage:
    return make_stage(entry.text("type"), entry.text("path", ""), entry)


def make_stage(name: str, path: str, entry: Facts) -> Stage:
    """Make a stage of its class's name and its folder; ``entry`` is where both stand."""
    path = path.rstrip("/")
    if len(path) > _LONGEST_PATH:
        raise UnsafeModelError(
            f"{entry.where} names a folder of {len(path)} characters; expected one such as '1_Pooling'"
        )
    package, _, last = name.partition(".")
    known = package in _PACKAGES and bool(last)
    kind = name.rsplit(".", 1)[-1] if known else name
    try:
        inside = "" if path in ("", ".") else safe_relative(path)
    except UnsafeModelError as error:
        raise UnsafeModelError(f"{entry.where}: {error}") from None
    return Stage(kind, inside, package, entry)


def require_known(files: Files, stages: tuple[Stage, ...], known: Collection[str]) -> None:
    """Refuse stages of other kinds than those that are known to the caller."""
    unknown = sorted({stage.kind for stage in stages} - set(known))
    if unknown:
        raise UnsupportedModelError(
            f"{files.label(STAGES_FILE)} lists the stages {', '.join(unknown)}, which are not supported; "
            f"supported are {', '.join(sorted(known))}"
        )


def finish_stages(files: Files, stages: tuple[Stage, ...]) -> None:
    """Refuse what nobody read in the entries of the list."""
    for stage in stages:
        stage.entry.finish(ENTRY_KEYS, files.accept_unknown)
