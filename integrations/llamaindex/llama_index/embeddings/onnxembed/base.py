"""Dense text embeddings for LlamaIndex."""

from __future__ import annotations

import inspect
import logging
import pickle
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.base import CallbackManager
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from llama_index.embeddings.onnxembed._options import (
    DeviceName,
    ModelName,
    PathText,
    PlainText,
    Provider,
    refuse_unknown,
)
from llama_index.embeddings.onnxembed.cache import Role, RoleCache

if TYPE_CHECKING:
    from onnxembed import TextEmbedding

_logger = logging.getLogger("onnxembed.llamaindex")

# What the core calls each option, and what it is called here. A test holds this against the core's own signature.
_ENGINE_OPTIONS = {
    "model_name": "model_name",
    "cache_dir": "cache_dir",
    "threads": "threads",
    "providers": "providers",
    "cuda": "device",
    "device_ids": "device_ids",
    "local_files_only": "local_files_only",
    "specific_model_path": "model_path",
    "revision": "revision",
    "max_length": "max_length",
    "truncate": "truncate",
    "dim": "dimensions",
    "normalize": "normalize",
    "pooling": "pooling",
    "query_prompt": "query_instruction",
    "passage_prompt": "text_instruction",
    "task_id": "task_id",
    "enable_cpu_mem_arena": "enable_cpu_mem_arena",
    "session_options": "session_options",
    "token_budget": "token_budget",
}

_ELSEWHERE = {
    "doc_embed_type": "texts are embedded as documents and queries as queries by themselves; "
    "to change what precedes a text pass text_instruction=, the document prompt (an empty string for none)",
    **{core: f"here it is called {here!r}" for core, here in _ENGINE_OPTIONS.items() if core != here},
    "document_prompt": "here it is called 'text_instruction'",
    "model": "here it is called 'model_name'",
    "cache_folder": "here it is called 'cache_dir'",
    "parallel_process": "pass parallel=, the number of workers",
    "target_devices": "pass device= and device_ids=",
    "show_progress_bar": "pass show_progress= to the call",
}


class OnnxEmbedding(BaseEmbedding):
    """Dense text embeddings on this machine, through ONNX Runtime.

    Everything that the constructor takes is a field, so that ``to_dict``, ``from_dict`` and pickling lose nothing;
    the weights are never part of them. Equal settings share one set of weights in a process.

    An ``embeddings_cache`` may be shared between models: vectors are filed by model, settings and role, so a query
    never finds the vector of a document with the same text.

    Examples:
        ``pip install llama-index-onnxembed``

        ```python
        from llama_index.core import Settings
        from llama_index.embeddings.onnxembed import OnnxEmbedding

        Settings.embed_model = OnnxEmbedding(model_name="sentence-transformers/all-MiniLM-L6-v2")
        ```

    Attributes:
        model_name: Name of the model, or a local folder.
        embed_batch_size: Texts handed over at a time. The engine sorts them by length and cuts its own batches, so a
            larger window is faster.
        embeddings_cache: A key-value store for vectors. It is no setting of the model: ``to_dict`` leaves it out.
        cache_dir: Where the model's files are kept; by default the usual cache of the Hugging Face Hub.
        local_files_only: Never use the network.
        revision: The revision of the model's repository.
        model_path: A local folder with the model's files.
        device: Where the model runs.
        device_ids: The devices to share the work, by number.
        providers: ONNX Runtime execution providers, names or ``(name, options)``; instead of ``device``.
        threads: Threads for one inference.
        parallel: Batches run at once; 0 means as many as there are processors, ``None`` one a device.
        batch_size: The most texts in one batch.
        max_length: The longest text, in tokens; longer ones are cut.
        truncate: Whether longer texts are cut; otherwise they are refused.
        dimensions: Length of the vectors, where the model allows to shorten them.
        normalize: Whether vectors are scaled to length 1; ``None`` does as the model's authors do.
        pooling: How token vectors become one vector, where the model's own way is not wanted.
        query_instruction: What is put, verbatim and with no space added, before a query. ``None`` takes what the
            model's authors publish, an empty string puts nothing.
        text_instruction: The same before a text.
        task_id: The task, for models that know several.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps memory for reuse.
        session_options: Further options of the ONNX Runtime session.
        token_budget: The most tokens in one batch.
        lazy_load: Whether the model is loaded on first use; otherwise in the constructor.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=("pydantic_model_",), arbitrary_types_allowed=True)

    model_name: ModelName = "BAAI/bge-small-en-v1.5"
    embed_batch_size: int = Field(default=256, gt=0, le=2048)
    embeddings_cache: Any = Field(default=None, exclude=True)
    cache_dir: PathText | None = None
    local_files_only: bool = False
    revision: str | None = None
    model_path: PathText | None = None
    device: DeviceName = "auto"
    device_ids: list[int] | None = None
    providers: list[Provider] | None = None
    threads: int | None = Field(default=None, ge=1)
    parallel: int | None = Field(default=None, ge=0)
    batch_size: int = Field(default=256, ge=1)
    max_length: int | None = Field(default=None, ge=1)
    truncate: bool = True
    dimensions: int | None = Field(default=None, ge=1)
    normalize: bool | None = None
    pooling: PlainText | None = None
    query_instruction: str | None = None
    text_instruction: str | None = None
    task_id: int | str | None = None
    enable_cpu_mem_arena: bool | None = None
    session_options: dict[str, str | int | bool] | None = None
    token_budget: int | None = Field(default=None, ge=1)
    lazy_load: bool = True

    # The engine, with the settings that it was opened with: changing a field opens another one.
    _opened: tuple[dict[str, Any], TextEmbedding] | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxEmbedding"

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if data.get("class_name") == cls.class_name():
            # Every dump of the framework carries it; from_dict takes it out, plain validation of a dump does not.
            data = {name: value for name, value in data.items() if name != "class_name"}
        refuse_unknown(cls.__name__, data, cls.model_fields, _ELSEWHERE)
        return data

    def model_post_init(self, _context: Any, /) -> None:
        """Make the engine, so that bad settings are told at once; it loads nothing unless ``lazy_load`` is off.

        Args:
            _context: Not used.
        """
        self._open(lazy_load=self.lazy_load)

    @classmethod
    def from_engine(cls, engine: TextEmbedding) -> Self:
        """Use an engine that is already there.

        Args:
            engine: The engine; its settings become the fields.

        Returns:
            An adapter that shares the engine.
        """
        given = engine.options
        made = cls(**{here: given[core] for core, here in _ENGINE_OPTIONS.items()})
        made._opened = (made._settings(), engine)
        return made

    @property
    def engine(self) -> TextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        return self._open(lazy_load=True)

    @property
    def dimension(self) -> int:
        """Length of the vectors, known without loading the model."""
        return self.engine.embedding_size

    def to_payload(self) -> dict[str, Any]:
        """Describe the model for events and callbacks; nothing secret is in it.

        Returns:
            Class, model, window, length of the vectors and device.
        """
        return {
            "class_name": self.class_name(),
            "model_name": self.model_name,
            "embed_batch_size": self.embed_batch_size,
            "dimension": self.dimension,
            "device": self.device,
        }

    # The framework's own methods do the work: batching, events, callbacks, cache. They are called undecorated,
    # because the ones defined here already are a span of the trace each.

    def get_query_embedding(self, query: str) -> Embedding:
        """Embed a text that others are searched with.

        Args:
            query: The text.

        Returns:
            Its vector.
        """
        return cast("Embedding", _bare(BaseEmbedding.get_query_embedding)(self._as_role("query"), query))

    async def aget_query_embedding(self, query: str) -> Embedding:
        """Embed a text that others are searched with, without blocking the event loop.

        Args:
            query: The text.

        Returns:
            Its vector.
        """
        bare = _bare(BaseEmbedding.aget_query_embedding)
        return cast("Embedding", await bare(await self._prepared("query"), query))

    def get_text_embedding(self, text: str) -> Embedding:
        """Embed a text that is to be found.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        return cast("Embedding", _bare(BaseEmbedding.get_text_embedding)(self._as_role("text"), text))

    async def aget_text_embedding(self, text: str) -> Embedding:
        """Embed a text that is to be found, without blocking the event loop.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        bare = _bare(BaseEmbedding.aget_text_embedding)
        return cast("Embedding", await bare(await self._prepared("text"), text))

    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> list[Embedding]:
        """Embed texts that are to be found.

        Args:
            texts: The texts.
            show_progress: Whether to show a progress bar.
            **kwargs: Ignored; the framework's pipelines hand their own options to every component.

        Returns:
            One vector a text, in the same order.
        """
        texts = _as_texts(texts)
        if not texts:
            return []
        bare = _bare(BaseEmbedding.get_text_embedding_batch)
        return cast("list[Embedding]", bare(self._as_role("text"), texts, show_progress, **kwargs))

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.
            show_progress: Whether to show a progress bar.
            **kwargs: Ignored; the framework's pipelines hand their own options to every component.

        Returns:
            One vector a text, in the same order.
        """
        texts = _as_texts(texts)
        if not texts:
            return []
        bare = _bare(BaseEmbedding.aget_text_embedding_batch)
        return cast("list[Embedding]", await bare(await self._prepared("text"), texts, show_progress, **kwargs))

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._embed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await self.engine.run_async(lambda: self._embed([query], "query")[0])

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._embed([text], "passage")[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await self.engine.run_async(lambda: self._embed([text], "passage")[0])

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embed(texts, "passage") if texts else []

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self.engine.run_async(lambda: self._embed(texts, "passage")) if texts else []

    def _embed(self, texts: list[str], side: Literal["query", "passage"]) -> list[Embedding]:
        parallel = self.parallel if len(texts) > 1 else None
        vectors = self.engine.embed_to_array(texts, batch_size=self.batch_size, parallel=parallel, side=side)
        return vectors.tolist()

    def _as_role(self, role: Role) -> Self:
        """Give a twin that reads and writes the cache in one role; itself when there is no cache."""
        if self.embeddings_cache is None:
            return self
        cache = RoleCache(self.embeddings_cache, self.engine.fingerprint, role)
        return self.model_copy(update={"embeddings_cache": cache})

    async def _prepared(self, role: Role) -> Self:
        """Do the same, with all that may take time (finding files, reading the dimension) off the event loop."""
        engine = self.engine
        if self.embeddings_cache is None and engine.loaded:
            return self

        # The payload of the first event tells the dimension, which may have to be loaded.
        _, ready = await engine.run_async(lambda: (engine.embedding_size, self._as_role(role)))
        return ready

    def _settings(self) -> dict[str, Any]:
        return {core: getattr(self, here) for core, here in _ENGINE_OPTIONS.items()}

    def _open(self, *, lazy_load: bool) -> TextEmbedding:
        settings = self._settings()
        if self._opened is None or self._opened[0] != settings:
            from onnxembed import TextEmbedding

            self._opened = (settings, TextEmbedding(**settings, lazy_load=lazy_load))
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        """Give the fields and the engine's settings; weights are opened again, on first use, wherever the copy lands.

        The framework's own method deletes from the live object whatever does not pickle; this one leaves it out of
        the copy.

        Returns:
            The state to pickle.
        """
        state = BaseModel.__getstate__(self)
        fields = dict(self.__dict__)
        for name, substitute in (
            ("callback_manager", CallbackManager([])),
            ("rate_limiter", None),
            ("embeddings_cache", None),
        ):
            if name in fields and not _pickles(fields[name]):
                _logger.warning("%s cannot be pickled: the copy of %s goes without it", name, self.class_name())
                fields[name] = substitute
        return {**state, "__dict__": fields}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the fields as they were; nothing is opened before it is needed.

        Args:
            state: What ``__getstate__`` gave.
        """
        BaseModel.__setstate__(self, state)

    def __eq__(self, other: object) -> bool:
        """Compare the settings and the cache; whether the model is already loaded makes no difference."""
        if not isinstance(other, OnnxEmbedding) or type(self) is not type(other):
            return False
        return self.to_dict() == other.to_dict() and bool(self.embeddings_cache == other.embeddings_cache)


def _bare(method: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", inspect.unwrap(method))


def _pickles(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever a foreign object raises means the same: it does not pickle
        return False
    return True


def _as_texts(texts: Iterable[str]) -> list[str]:
    """Check all texts before the first one is embedded: the framework's windows would hide the position."""
    from onnxembed.errors import InputTypeError

    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise InputTypeError(
            f"get_text_embedding_batch was given a {type(texts).__name__}, expected a list of str; "
            "use get_text_embedding for a single text"
        )
    texts = list(texts)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputTypeError(f"text {index} is a {type(text).__name__}, expected a str; convert it first")
    return texts
