"""What the six model classes share: options, an engine that each process finds again, asynchronous twins."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast

from onnxembed.api.find import exported_folder
from onnxembed.api.inputs import Checked, check_count, check_parallel
from onnxembed.api.options import EngineOptions, exported_names, option_docs, settings_of
from onnxembed.api.settings import ByFiles, EngineSettings, SpecT, engine_settings, located
from onnxembed.api.shared import pool_of, shared_engine, shared_engines
from onnxembed.errors import InputTypeError, ModelError
from onnxembed.runtime.forks import watch
from onnxembed.runtime.precision import WEIGHT_BITS, Precision
from onnxembed.runtime.progress import Counting, counted
from onnxembed.suggest import nearest

if TYPE_CHECKING:
    from onnxembed.api.engine import GraphEngine
    from onnxembed.catalog.registry import Registry
    from onnxembed.hub.folder import ModelFolder
    from onnxembed.runtime.bounded_pool import BoundedPool
    from onnxembed.runtime.precision_choice import Choice

P = ParamSpec("P")
T = TypeVar("T")
ItemT = TypeVar("ItemT")
UseT = TypeVar("UseT")


class Engine(Protocol):
    """One model in one process. Every part is loaded on first use."""

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory."""
        ...

    def load(self) -> None:
        """Load everything now."""


OptionsT = TypeVar("OptionsT", bound=EngineOptions)
EngineT = TypeVar("EngineT", bound=Engine)

Init = Callable[[Any, OptionsT], None]

_RAISED = """\
    UnknownModelError: The name is not known; the nearest ones are offered.
    ModelNotFoundError: No source could give the files, or a folder holds no model.
    UnsupportedModelError: The files do not say what this class needs to know of a model, or it is of another kind.
    InputError: A value is out of range, or the model does not have the option.
    InputTypeError: A value has the wrong type.
    ProviderError: A provider or device is not available."""

# What other libraries call an option.
_ELSEWHERE = {"device": " Here it is called 'cuda': True, False, 'auto', or 'cuda:1' for one device by its number"}


def constructor(
    options: Callable[P, OptionsT],
) -> Callable[[Callable[[Any, OptionsT], None]], Callable[Concatenate[Any, P], None]]:
    """Make an ``__init__`` whose parameters are the fields of an options class; their checks run first."""

    def decorate(init: Init[OptionsT]) -> Callable[Concatenate[Any, P], None]:
        def __init__(self: Any, *args: P.args, **kwargs: P.kwargs) -> None:  # noqa: N807
            for name in kwargs:
                if name not in signature.parameters:
                    hint = _ELSEWHERE.get(name) or nearest(name, signature.parameters)
                    raise InputTypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}.{hint}")
            try:
                said = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise InputTypeError(f"{type(self).__name__}() {error}") from None
            given = options(*args, **kwargs)
            folder = exported_folder(self._registry(), given)
            if folder is not None:
                from onnxembed.api.exported import exported_options

                given = exported_options(given, said, folder, type(self).__name__)
            init(self, given)

        signature = inspect.signature(options)
        me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        dressed = cast("Any", __init__)
        dressed.__signature__ = signature.replace(
            parameters=[me, *signature.parameters.values()], return_annotation=None
        )
        dressed.__qualname__, dressed.__module__ = init.__qualname__, init.__module__
        docs = "\n".join(f"    {name}: {text}" for name, text in option_docs(cast("Any", options)).items())
        summary = "Check the options, and load the model unless ``lazy_load`` is true."
        dressed.__doc__ = f"{summary}\n\nArgs:\n{docs}\n\nRaises:\n{_RAISED}\n"
        return cast("Callable[Concatenate[Any, P], None]", dressed)

    return decorate


class Model(Generic[OptionsT, SpecT, EngineT]):
    """The base of the model classes. Objects are immutable, safe to share between threads, and small when pickled."""

    _options: OptionsT
    _settings: EngineSettings[SpecT]
    _make_engine: Callable[[EngineSettings[SpecT]], EngineT]
    _held: tuple[int, EngineT] | None = None
    _held_pool: BoundedPool | None = None
    _deferred_of: Self | None = None
    _settled: Choice | None = None
    _counting: ClassVar[Counting] = Counting("Embedding", "text")

    def _open(
        self,
        spec: SpecT,
        folder: str | None,
        options: OptionsT,
        make_engine: Callable[[EngineSettings[SpecT]], EngineT],
        by_files: ByFiles[SpecT] | None = None,
    ) -> None:
        """Settle what this object is; ``make_engine`` is a function of a module, so that it can be pickled by name."""
        self._settings = engine_settings(spec, folder, options, by_files)
        self._options = replace(
            options,
            model_name=spec.name,
            specific_model_path=None if folder == spec.name else folder,
            precision=options.precision if self._settings.automatic else self._settings.precision,
        )
        self._make_engine = make_engine
        watch()
        if not options.lazy_load:
            self._load()

    def _load(self) -> None:
        """Load everything now; an exported folder is hashed while what loads it is imported."""
        exported = self._settings.store.specific_model_path
        if exported is None or self.loaded:
            self._engine.load()
            return
        from onnxembed.api.graph_check import begun_early

        with begun_early(Path(exported).absolute()):
            self._engine.load()

    @property
    def _engine(self) -> EngineT:
        """This process's engine for these settings, the same for all objects that have equal ones."""
        holder = self if self._deferred_of is None else self._deferred_of
        process, held = os.getpid(), holder._held
        if held is None or held[0] != process:
            settings = self._located()
            holder._settled = settings.choice
            held = holder._held = (process, shared_engine(settings, self._make_engine))
        return held[1]

    def _located(self) -> EngineSettings[SpecT]:
        """The settings with the files, found or brought, and with a precision that was checked on them."""
        settings = located(self._settings)
        if not settings.automatic:
            return settings
        from onnxembed.api.precision_check import checked

        return checked(settings)

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        fields, *slots = state if isinstance(state, tuple) else (state,)  # a pair where a subclass has slots
        fields = {name: value for name, value in fields.items() if name not in ("_held", "_held_pool", "_settled")}
        return (fields, *slots) if slots else fields

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r})"

    @property
    def model_name(self) -> str:
        """The model's name as the catalogue spells it, or its folder."""
        return self._settings.model.name

    @property
    def precision(self) -> str:
        """How the model is computed: ``fp32``, ``int8`` and so on, never ``auto``.

        With ``auto`` this finds the files, and compares the precision that this machine has with single precision.
        """
        return self._choice.precision.value

    @property
    def precision_reason(self) -> str:
        """Why ``auto`` chose `precision`, with the cosine that was measured; empty where the caller chose."""
        return self._choice.why

    @property
    def _choice(self) -> Choice:
        if not self._settings.automatic:
            return self._settings.choice
        holder = self if self._deferred_of is None else self._deferred_of
        if holder._settled is None:
            _ = self._engine
        return holder._settled or self._settings.choice

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that would make this object again, ``lazy_load`` aside; defaults filled in."""
        return settings_of(self._options)

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory; looks for no files."""
        held = self._held
        if held is not None and held[0] == os.getpid():
            return held[1].loaded
        return any(
            engine.loaded
            for settings, engine in shared_engines(self._make_engine)
            if settings.before() == self._settings
        )

    @property
    def _pool(self) -> BoundedPool:
        """Runs the asynchronous calls of all objects with equal settings; looks for no files.

        It is held here: one made anew beside calls that are still under way would let more of them run at once.
        """
        pool = self._held_pool
        if pool is None:
            pool = self._held_pool = shared_engine(self._settings, pool_of)
        return pool

    @property
    def max_concurrency(self) -> int:
        """How many calls of the asynchronous methods run at once."""
        return self._pool.max_concurrency

    @classmethod
    def _registry(cls) -> Registry[Any]:
        """The known models of this kind."""
        raise NotImplementedError

    @classmethod
    def list_supported_models(cls) -> list[dict[str, object]]:
        """Describe all known models, those added by `add_custom_model` included, as plain data."""
        return [cls._describe(model) for model in cls._registry().models()]

    @staticmethod
    def _describe(model: Any) -> dict[str, object]:
        """Describe a model of this kind as plain data."""
        raise NotImplementedError

    def download(self) -> ModelFolder | None:
        """Find the model's files, and fetch those that are not here; load nothing.

        Returns:
            Their folder, where they came from, and the commit; ``None`` for a model that needs no files.

        Raises:
            ModelNotFoundError: If no source could give them.
        """
        return located(self._settings).folder

    async def adownload(self) -> ModelFolder | None:
        """Asynchronous twin of `download`."""
        return await self.run_async(self.download)

    def export(self, folder: str | os.PathLike[str]) -> Path:
        """Write the model into one folder that opens without a cache, without Hub code, and without being written to.

        The folder holds the ready graph (compiled, and rounded for ``precision``), the tokenizer, the small files, and
        ``onnxembed.json``: what the model is, the fingerprint, versions, and the SHA-256 of each file. Its path opens
        it: ``type(model)(folder)``. What decides the graph is in it: ``precision``, ``variant``, ``model_file``,
        ``pooling``, ``accept_unknown``. The other options that change results, such as ``max_length``, ``dim`` and the
        prompts, are written down, and hold when it is opened, unless others are given then: the fingerprint is equal,
        and so are the vectors.

        Args:
            folder: A folder that is not there yet, or an empty one.

        Returns:
            Its absolute path.

        Raises:
            InputError: If the folder is not empty.
            UnsupportedModelError: If the model needs no files (BM25), or one folder cannot hold it.
            ModelNotFoundError: If the files cannot be had, or the folder cannot be written.
        """
        from onnxembed.api.export import Identity, target_folder, write_folder
        from onnxembed.hub.disk import remove_tree

        target = target_folder(folder)
        fingerprint = str(getattr(self, "fingerprint", ""))
        options = self.options
        written = {name: options[name] for name in exported_names(type(self._options)) if options[name] is not None}
        identity = Identity(self._registry().facade, fingerprint, written)
        made = write_folder(self._located(), identity, target)
        try:
            self._check_exported(made, fingerprint)
            if target.is_dir():
                target.rmdir()
            made.rename(target)
        except BaseException:
            remove_tree(made)
            raise
        return target

    async def aexport(self, folder: str | os.PathLike[str]) -> Path:
        """Asynchronous twin of `export`."""
        return await self.run_async(partial(self.export, folder))

    def _check_exported(self, folder: Path, fingerprint: str) -> None:
        """Open an exported folder once: what it lacks is said now, not where it is to start."""
        given = {"model_name": folder, "specific_model_path": None, "model_file": None, "variant": None}
        own = {**self.options, "revision": None, "accept_unknown": (), **given}
        made_into = {"pooling": None, "dense": False}  # it is written as what these made of it
        own |= {name: plain for name, plain in made_into.items() if name in own}
        said = exported_names(type(self._options))  # by the folder
        opened = type(self)(**{name: value for name, value in own.items() if name not in said})
        found = str(getattr(opened, "fingerprint", ""))
        if found != fingerprint:
            raise ModelError(f"the exported folder has the fingerprint {found}, expected {fingerprint}; report this")

    async def run_async(self, function: Callable[[], T]) -> T:
        """Await a blocking call in the model's own pool, at most `max_concurrency` at once.

        The caller's context variables are copied. Cancelling drops a call that has not begun; methods of the models end
        at their next batch, and other functions when they do.
        """
        return await self._pool.run(function)

    def _iterate_async(self, iterator: Iterator[T]) -> AsyncIterator[T]:
        """Take the items of a blocking iterator in the model's own pool."""
        return self._pool.iterate(iterator)

    def _deferring(self) -> Self:
        """Give a copy of this object whose calls check their arguments at once, and begin at the first step.

        This object holds what the copy loads, for the calls that follow.
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, _deferred_of=self)
        return copy

    def _stream(
        self,
        items: Checked[ItemT],
        use: UseT,
        batch_size: int | None,
        parallel: int | None,
        counting: Counting | None = None,
    ) -> Iterator[Any]:
        """Check how a call is to run, and begin it; nothing is loaded for no items."""
        if batch_size is None:
            from onnxembed.runtime.batching import ANY_NUMBER

            batch_size = ANY_NUMBER
        elif type(batch_size) is not int or not 1 <= batch_size <= sys.maxsize:
            batch_size = check_count(batch_size, "batch_size", 1)
        workers = None if parallel is None else check_parallel(parallel)
        if items.empty:
            return iter(())
        if self._deferred_of is not None:
            results = _later(partial(self._run, items.items, use, batch_size, workers))
        else:
            results = self._run(items.items, use, batch_size, workers)
        if not self._options.show_progress:
            return results
        return counted(results, items.count, self._counting if counting is None else counting)

    def _run(self, items: Iterable[Any], use: Any, batch_size: int, workers: int | None) -> Iterator[Any]:
        """Load the model if need be, and begin; every kind does."""
        raise NotImplementedError

    def _digest(self, relevant: object) -> str:
        """Hash the content of the files that are loaded and whatever else changes the results; loads no weights."""
        base: GraphEngine[SpecT] = cast("Any", self._engine).base  # every engine that is made of files has one
        if self._settings.accept_unknown:
            relevant = (relevant, self._settings.accept_unknown)
        choice = base.settings.choice
        if choice.precision is not Precision.FP32:
            relevant = (relevant, WEIGHT_BITS.get(choice.numbers, choice.precision.value))
        from hashlib import sha256

        return sha256(f"{base.settings.content}\0{relevant!r}".encode()).hexdigest()[:32]


def _later(begin: Callable[[], Iterator[T]]) -> Iterator[T]:
    yield from begin()
