"""What distinguishes two engines, as frozen data made from the options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from onnxembed.api.options import EngineOptions
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.providers import Device, ProviderRequest, check_request, parse_request
from onnxembed.runtime.session import OptionValue, parse_session_options
from onnxembed.spec import ModelSpec

if TYPE_CHECKING:
    from onnxembed.hub.folder import ModelFolder
    from onnxembed.hub.settings import StoreSettings

SpecT = TypeVar("SpecT", bound=ModelSpec)
SpecT_co = TypeVar("SpecT_co", bound=ModelSpec, covariant=True)


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
        accept_unknown: Keys of the files that are passed over although they are not known here.
    """

    model: SpecT_co
    store: StoreSettings
    request: ProviderRequest
    threads: int | None
    session_options: tuple[tuple[str, OptionValue], ...]
    max_length: int | None
    folder: ModelFolder | None = None
    content: str = ""
    accept_unknown: tuple[str, ...] = ()


def engine_settings(model: SpecT, folder: str | None, options: EngineOptions) -> EngineSettings[SpecT]:
    """Make the settings of an engine; ``folder`` is the one that `find_model` found, if any."""
    chosen = cast("Device | str", options.cuda)  # ``None`` was read when the options were made
    request = parse_request(options.providers, chosen, options.device_ids)
    return EngineSettings(
        model=model,
        store=store_settings(folder, options),
        request=require_available(request),
        threads=options.threads,
        session_options=parse_session_options(options.session_options, options.enable_cpu_mem_arena),
        max_length=getattr(options, "max_length", None),
        accept_unknown=tuple(options.accept_unknown),
    )


def store_settings(folder: str | None, options: EngineOptions) -> StoreSettings:
    """Say where a model's files may come from."""
    from onnxembed.hub.settings import StoreSettings

    return StoreSettings(
        cache_dir=None if options.cache_dir is None else str(options.cache_dir),
        local_files_only=options.local_files_only,
        revision=options.revision,
        specific_model_path=folder,
    )


def require_available(request: ProviderRequest) -> ProviderRequest:
    """Refuse providers that this machine lacks; ONNX Runtime is only imported when something was asked for."""
    if request.providers is not None or request.device is Device.CUDA:
        check_request(request, import_onnxruntime().get_available_providers())
    return request


def located(settings: EngineSettings[SpecT]) -> EngineSettings[SpecT]:
    """Find, and if need be download, the files, and name their content."""
    if not settings.model.needs_files:
        return settings
    from onnxembed.hub.content import digest_memory
    from onnxembed.hub.fingerprint import folder_fingerprint
    from onnxembed.hub.locate import locate

    model, folder = settings.model, locate(settings.model, settings.store)
    further = (*model.additional_files, model.companion_file)
    content = folder_fingerprint(folder.path, model.model_file, further, digest_memory(settings.store))
    return replace(settings, folder=folder, content=content)
