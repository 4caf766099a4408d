"""Models brought into a cache ahead of their use, which may then be copied to a machine without a network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.api.options import EngineOptions
from onnxembed.care.verify import CheckedFile, check_folder, check_snapshot
from onnxembed.errors import IntegrityError
from onnxembed.hub.cache import RepositoryCache
from onnxembed.hub.settings import OWN_FOLDER, StoreSettings, cache_root
from onnxembed.opening import opened_lazily
from onnxembed.runtime.precision import Precision

if TYPE_CHECKING:
    from onnxembed.hub.folder import ModelFolder
    from onnxembed.hub.token import HubToken


@dataclass(frozen=True, slots=True)
class DownloadedModel:
    """A model whose files are on this machine.

    Attributes:
        name: Its name.
        model_class: The class that opens it.
        cache: The folder that holds everything; copied to another machine it opens the model there.
        folder: The model's own folder; ``None`` for a model that needs no files.
        source: Where the files came from, for people.
        revision: The commit, of a repository.
        files: Its files, each compared with what was published.
        compiled: Whether the graph that it runs by is ready in the cache.
        in_cache: Whether the files lie in the cache; those of a package, or of a folder, do not.
    """

    name: str
    model_class: str
    cache: Path
    folder: Path | None
    source: str
    revision: str | None
    files: tuple[CheckedFile, ...]
    compiled: bool
    in_cache: bool

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)


def download_model(
    model_name: str | os.PathLike[str],
    kind: str | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    variant: str | None = None,
    model_file: str | None = None,
    precision: Precision | str | None = None,
    compiled: bool = False,
    accept_unknown: Sequence[str] = (),
    token: HubToken | str | bool | None = None,
) -> DownloadedModel:
    """Bring all files that opening a model needs into the cache, no others, and check them as published.

    The cache may be copied: on another machine the model opens with ``cache_dir=`` the copy, and without requests.

    Args:
        model_name: A name of the catalogue, or a Hub repository.
        kind: One that `open_model` takes, or ``"m3"``.
        cache_dir: This and the following arguments are those of the model classes.
        revision: As there.
        variant: As there.
        model_file: As there.
        precision: As there; it matters for ``compiled``.
        compiled: Whether to open the model once, so that a graph that is made of its weights lies in the cache, too.
        accept_unknown: As there.
        token: As there.

    Returns:
        What was brought.

    Raises:
        ModelNotFoundError: If no source could give the files.
        IntegrityError: If a file is not the published one; it is named.
    """
    options = EngineOptions(
        model_name,
        cache_dir=cache_dir,
        revision=revision,
        variant=variant,
        model_file=model_file,
        precision=precision,
        accept_unknown=accept_unknown,
        token=token,
        lazy_load=True,
    )
    model = opened_lazily(options, kind)
    found = model.download()
    root = cache_root(StoreSettings(cache_dir=None if options.cache_dir is None else str(options.cache_dir)))
    files = () if found is None else tuple(_checked(found, root))
    wrong = [file for file in files if file.problem]
    if wrong:
        raise IntegrityError(
            f"{model.model_name}: {wrong[0].path} is not the published file: {wrong[0].problem}; remove it with "
            f"'onnxembed cache prune {model.model_name}' and fetch the model again"
        )
    if compiled:
        type(model)(**{**model.options})
    return DownloadedModel(
        name=model.model_name,
        model_class=type(model).__name__,
        cache=root,
        folder=None if found is None else found.path,
        source="no files are needed" if found is None else found.source,
        revision=None if found is None else found.revision,
        files=files,
        compiled=compiled,
        in_cache=found is None or found.path.is_relative_to(root),
    )


def _checked(found: ModelFolder, root: Path) -> list[CheckedFile]:
    if found.revision is not None and found.path.parent.name == "snapshots":
        place = RepositoryCache("", found.path.parents[1], root / OWN_FOLDER)
        return list(check_snapshot(place, found.revision))
    return list(check_folder(found.path))
