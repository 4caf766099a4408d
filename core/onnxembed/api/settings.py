"""What distinguishes two engines, as frozen data made from the options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from onnxembed.api.options import EngineOptions
from onnxembed.errors import InputError
from onnxembed.runtime import cuda
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.plugins import available_providers
from onnxembed.runtime.precision import AUTO, FULL_BITS, WEIGHT_BITS, GraphNumbers, Precision
from onnxembed.runtime.precision_choice import Choice, Machine, check_entries, choose, placed
from onnxembed.runtime.providers import (
    CPU_PROVIDER,
    Device,
    Placement,
    ProviderRequest,
    check_request,
    parse_request,
    place,
)
from onnxembed.runtime.session_options import OptionValue, parse_session_options
from onnxembed.spec import ModelSpec

if TYPE_CHECKING:
    from onnxembed.hub.exported import Manifest
    from onnxembed.hub.files import Files
    from onnxembed.hub.folder import ModelFolder
    from onnxembed.hub.settings import StoreSettings
    from onnxembed.hub.token import HubToken

SpecT = TypeVar("SpecT", bound=ModelSpec)
SpecT_co = TypeVar("SpecT_co", bound=ModelSpec, covariant=True)


@dataclass(frozen=True, slots=True)
class ByFiles(Generic[SpecT]):
    """What describes a model of a Hub repository again, when its files are here: a graph says more than its name.

    Attributes:
        describe: Describes a model by its files; can be pickled.
        commit: The commit whose files were listed.
    """

    describe: Callable[[Files], SpecT]
    commit: str


@dataclass(frozen=True, slots=True)
class EngineSettings(Generic[SpecT_co]):
    """Everything that decides which weights and which tokenizer are loaded, and how they run.

    Two model objects with equal engine settings share one engine in a process.

    Attributes:
        model: Its description.
        store: Where its files may come from.
        request: Providers and devices.
        threads: Intra-op threads, or ``None`` for all usable processors.
        session_options: Further options of the session.
        max_length: The caller's token limit, or ``None`` for the model's own.
        folder: Where the files were found; ``None`` before they were looked for.
        content: The name of the files' content, by which engines of files that changed differ.
        choice: In which precision the graph is computed, and what is loaded for that.
        automatic: Whether that was found by the machine, and is still to be checked on this model.
        accept_unknown: Keys of the files that are passed over although they are not known here.
        by_files: What describes the model again when its files are here; ``None`` once that is done.
        opened: The description before that.
        proposed: The precision before it was checked; ``None`` where the caller chose it.
    """

    model: SpecT_co
    store: StoreSettings
    request: ProviderRequest
    threads: int | None
    session_options: tuple[tuple[str, OptionValue], ...]
    max_length: int | None
    folder: ModelFolder | None = None
    content: str = ""
    choice: Choice = field(default_factory=Choice)
    automatic: bool = False
    accept_unknown: tuple[str, ...] = ()
    by_files: ByFiles[SpecT_co] | None = field(default=None, compare=False)
    opened: SpecT_co | None = None
    proposed: Choice | None = field(default=None, compare=False)

    @property
    def precision(self) -> Precision:
        """How the graph is computed."""
        return self.choice.precision

    @property
    def weight_bits(self) -> int:
        """Bits that its weights are rounded to; 32 where they are floats."""
        return WEIGHT_BITS.get(self.choice.numbers, FULL_BITS)

    def before(self) -> EngineSettings[SpecT_co]:
        """Give the settings as they were before the files were looked for."""
        return replace(
            self,
            model=self.opened or self.model,
            folder=None,
            content="",
            opened=None,
            choice=self.proposed or self.choice,
            automatic=self.automatic or self.proposed is not None,
            proposed=None,
        )


def engine_settings(
    model: SpecT, folder: str | None, options: EngineOptions, by_files: ByFiles[SpecT] | None = None
) -> EngineSettings[SpecT]:
    """Make the settings of an engine; ``folder`` and ``by_files`` are those that `find_model` found."""
    chosen = cast("Device | str", options.cuda)  # ``None`` was read when the options were made
    request = parse_request(options.providers, chosen, options.device_ids)
    session_options = parse_session_options(options.session_options, options.enable_cpu_mem_arena)
    request = require_available(request)
    asked = options.precision
    exported = None if folder is None else _manifest(folder)
    if exported is not None and folder is not None:
        from onnxembed.api.exported import exported_precision

        asked = exported_precision(Path(folder), exported, asked)
    asked = Precision.FP32 if asked is None else asked
    choice = _choice(model, request, asked)
    if exported is not None and choice.numbers in WEIGHT_BITS:
        choice = replace(choice, numbers=GraphNumbers(f"int{exported.weight_bits}"))  # as stored
    check_entries(choice, dict(session_options))
    return EngineSettings(
        model=model,
        # The branch may have moved since the files were listed.
        store=store_settings(folder, options) if by_files is None else _pinned(options, by_files.commit),
        request=request,
        threads=options.threads,
        session_options=session_options,
        max_length=getattr(options, "max_length", None),
        choice=choice,
        automatic=asked == AUTO and model.is_computed,
        accept_unknown=tuple(options.accept_unknown) if exported is None else exported.accept_unknown,
        by_files=by_files,
    )


def _choice(model: ModelSpec, request: ProviderRequest, asked: Precision | str) -> Choice:
    """Settle the precision for the provider that comes first; without a wish nothing is looked at."""
    if not model.is_computed and asked == AUTO:
        return Choice(why="the model has no graph")
    if asked != Precision.FP32 and not model.is_computed:
        raise InputError(
            f"precision={str(asked)!r}: {model.name!r} has no graph whose products could be rounded; leave it out"
        )
    if asked == Precision.FP32 and request.providers is None:
        return Choice()
    if asked == Precision.INT8 and request.providers is None and request.device is Device.AUTO:
        return choose(asked, Placement(((CPU_PROVIDER, ()),), fallback_allowed=False), Machine.here())
    processor = request.device is Device.CPU and request.providers is None
    available = () if processor else available_providers(import_onnxruntime(), request)
    placements = place(request, available, warn=False, device_found=cuda.driver().found)
    choice = choose(asked, placements[0], Machine.here())
    placed(placements, choice)  # refuses options that contradict it
    return choice


def _manifest(folder: str | Path) -> Manifest | None:
    """What an exported folder says of itself; ``None`` for another folder."""
    from onnxembed.hub.exported import manifest_of  # of a room that is loaded when files are looked for

    return manifest_of(Path(folder))


def _pinned(options: EngineOptions, commit: str) -> StoreSettings:
    return replace(store_settings(None, options), revision=commit)


def store_settings(folder: str | None, options: EngineOptions) -> StoreSettings:
    """Say where a model's files may come from."""
    from onnxembed.hub.settings import StoreSettings

    return StoreSettings(
        cache_dir=None if options.cache_dir is None else str(options.cache_dir),
        local_files_only=options.local_files_only,
        revision=options.revision,
        specific_model_path=folder,
        token=cast("HubToken | None", options.token),
        show_progress=options.show_progress,
    )


def require_available(request: ProviderRequest) -> ProviderRequest:
    """Refuse providers that this machine lacks; ONNX Runtime is only imported when something was asked for."""
    if request.providers is not None or request.device is Device.CUDA:
        check_request(request, available_providers(import_onnxruntime(), request))
    elif request.device is Device.CPU:
        check_request(request, ())
    return request


def located(settings: EngineSettings[SpecT]) -> EngineSettings[SpecT]:
    """Find, and if need be download, the files, and name their content."""
    if not settings.model.needs_files:
        return settings
    given = settings.store.specific_model_path
    exported = None if given is None else _manifest(given)
    if exported is not None and given is not None:
        return _located_exported(settings, Path(given), exported)
    from onnxembed.hub.locate import locate

    model, folder = settings.model, locate(settings.model, settings.store)
    content = content_of(folder, settings)
    if settings.by_files is not None and model.model_file.endswith(".onnx"):
        again = _described_again(settings.by_files, model, folder, settings.accept_unknown)
        settings = replace(settings, model=again, opened=model)
    return replace(settings, folder=folder, content=content, by_files=None)


def _located_exported(settings: EngineSettings[SpecT], given: Path, exported: Manifest) -> EngineSettings[SpecT]:
    """Check the files of an exported folder but for its graphs, which are checked while they are loaded."""
    from onnxembed.hub.exported import check_files
    from onnxembed.hub.folder import ModelFolder

    path = given.absolute()
    check_files(path, exported, sorted(set(exported.files) - exported.graph_files))
    folder = ModelFolder(path, f"exported folder {path}, of {exported.source}")
    return replace(settings, folder=folder, content=exported.content, by_files=None)


def content_of(folder: ModelFolder, settings: EngineSettings[SpecT]) -> str:
    """Name the content of a model's files as they are now."""
    exported = _manifest(folder.path)
    if exported is not None:
        from onnxembed.hub.exported import check_files

        check_files(folder.path, exported, exported.files)
        return exported.content
    from onnxembed.hub.content import digest_memory
    from onnxembed.hub.fingerprint import folder_fingerprint

    model = settings.opened or settings.model  # the one that the files were brought for
    further = (*model.additional_files, model.companion_file)
    return folder_fingerprint(folder.path, model.model_file, further, digest_memory(settings.store))


def _described_again(
    by_files: ByFiles[SpecT], model: SpecT, folder: ModelFolder, accept_unknown: tuple[str, ...]
) -> SpecT:
    """The description of a model of the Hub by the files that were brought."""
    from onnxembed.foreign import reading
    from onnxembed.hub.files import SnapshotFiles

    files = SnapshotFiles(model.name, by_files.commit[:12], by_files.commit, folder.path)
    files.chosen, files.accept_unknown = model.model_file, accept_unknown
    with reading(folder.path):
        described = by_files.describe(files)
    return replace(described, model_file=model.model_file, additional_files=model.additional_files)
