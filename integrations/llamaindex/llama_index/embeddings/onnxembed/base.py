"""Dense text embeddings for LlamaIndex."""

from __future__ import annotations

import inspect
import logging
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.base import CallbackManager
from pydantic import BaseModel, Field

from llama_index.embeddings.onnxembed._engine import COMMON_NAMES, EngineFields
from llama_index.embeddings.onnxembed._options import ModelName, PlainText
from llama_index.embeddings.onnxembed.cache import Role, RoleCache

if TYPE_CHECKING:
    from onnxembed import TextEmbedding

_logger = logging.getLogger("onnxembed.llamaindex")


class OnnxEmbedding(EngineFields, BaseEmbedding):
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

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        "dim": "dimensions",
        "normalize": "normalize",
        "pooling": "pooling",
        "query_prompt": "query_instruction",
        "passage_prompt": "text_instruction",
        "task_id": "task_id",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "doc_embed_type": "texts are embedded as documents and queries as queries by themselves; "
        "to change what precedes a text pass text_instruction=, the document prompt (an empty string for none)",
        "document_prompt": "here it is called 'text_instruction'",
        "model": "here it is called 'model_name'",
    }

    model_name: ModelName = "BAAI/bge-small-en-v1.5"
    embed_batch_size: int = Field(default=256, gt=0, le=2048)
    embeddings_cache: Any = Field(default=None, exclude=True)
    dimensions: int | None = Field(default=None, ge=1)
    normalize: bool | None = None
    pooling: PlainText | None = None
    query_instruction: str | None = None
    text_instruction: str | None = None
    task_id: int | str | None = None

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxEmbedding"

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> TextEmbedding:
        from onnxembed import TextEmbedding

        return TextEmbedding(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> TextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        engine: TextEmbedding = self._open(lazy_load=True)
        return engine

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
