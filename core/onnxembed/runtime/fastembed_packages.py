"""Which distributions own the folder ``fastembed``: the real ones, or the one that stands in for them."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.runtime import forks

OURS = "onnxembed-fastembed"
STAND_IN_VERSION = "0.9.1+onnxembed"
"""The version of the distribution ``fastembed`` that has no files and depends on ours."""
_LOCAL = "+onnxembed"
_REAL = ("fastembed", "fastembed-gpu")


def real_fastembed() -> str | None:
    """Name the installed distribution, with its version, whose own files lie in the folder ``fastembed``.

    ``None`` where there is none: the stand-in, which has no files, does not count.
    """
    for name in _REAL:
        version = _version(name)
        if version is not None and not version.endswith(_LOCAL):
            return f"{name} {version}"
    return None


@dataclass(frozen=True, slots=True)
class FolderFault:
    """What is wrong with the folder ``fastembed``.

    Attributes:
        problem: What is wrong.
        mend: The command that mends it.
    """

    problem: str
    mend: str


def fastembed_fault() -> FolderFault | None:
    """Look for what is wrong with the folder ``fastembed`` of this environment; nothing is imported from it.

    The real distributions and ours write the same files, so whichever came last overwrote the other; and removing one
    removes files of the other. Either order is told from what is installed.

    Returns:
        The fault; ``None`` where nothing is wrong, or ours is not installed.
    """
    if _version(OURS) is None:
        return None
    real = real_fastembed()
    if real is not None:
        return both_installed(real)
    missing = _missing_file()
    if missing is None:
        return None
    return FolderFault(
        f"{missing} of {OURS} is gone, as happens when fastembed is uninstalled beside it",
        f"pip install --force-reinstall --no-deps {OURS}",
    )


def both_installed(real: str) -> FolderFault:
    """Say that a real distribution lies in one folder with ours."""
    name = real.partition(" ")[0]
    return FolderFault(
        f"{real} and {OURS} are installed together and overwrite each other's files",
        f"pip uninstall -y {name} {OURS} && pip install {OURS}",
    )


def _version(distribution: str) -> str | None:
    with forks.whole():  # a fork during the import would leave its lock held in the child
        from importlib import metadata

        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return None


def _missing_file() -> str | None:
    """A file that our distribution has written and that is not there any more."""
    from importlib import metadata

    for path in metadata.files(OURS) or ():
        if path.parts[0] == "fastembed" and path.suffix == ".py" and not path.locate().exists():  # type: ignore[attr-defined]
            return str(path)
    return None
