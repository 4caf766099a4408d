"""`TextEmbedding`: the dense text models as users meet them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnxembed.api.inputs import as_texts, check_count, check_flag, check_text
from onnxembed.api.options import engine_options, engine_settings, find_model
from onnxembed.api.settings import EngineSettings
from onnxembed.api.shared import EngineHandle
from onnxembed.catalog.registry import dense_registry, describe
from onnxembed.errors import InputTypeError
from onnxembed.runtime.providers import Device
from onnxembed.runtime.session import OptionValue
from onnxembed.spec import DenseModel, Matryoshka, ModelSource, PoolingType, Prompts
from onnxembed.text.call import Call, Side, check_call, choose_use
from onnxembed.text.options import check_dim, parse_pooling, parse_prompt, parse_task
from onnxembed.text.settings import VectorSettings
from onnxembed.text.tokenizer_rules import check_max_length

if TYPE_CHECKING:
    import numpy as np

    from onnxembed.text.engine import DenseEngine

    Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
    Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]

T = TypeVar("T")


class TextEmbedding:
    """Dense text embeddings with an ONNX model.

    Names, methods and parameters are those that users of fastembed know; those after ``lazy_load`` are new. Objects are
    immutable, safe to share between threads, usable after a fork, and small when pickled: only settings travel, and the
    model is opened again where it is used. Two objects that need the same weights share them within a process.

    Args:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files.
        cache_dir: Where models are kept. ``None``: ``ONNXEMBED_CACHE``, then ``FASTEMBED_CACHE_PATH``, then the
            standard Hugging Face cache.
        threads: Processors that one inference uses; ``None`` for all that this process may use.
        providers: ONNX Runtime execution providers, best first: names, or pairs of a name and its options. One that is
            not available is an error, unless ``"CPUExecutionProvider"`` is listed after it.
        cuda: ``True`` requires CUDA, ``False`` the processor; ``Device.AUTO`` takes CUDA where ONNX Runtime has it.
        device_ids: CUDA devices to spread batches over.
        lazy_load: Whether files are looked for and loaded on first use instead of here.
        local_files_only: Whether nothing may be downloaded.
        specific_model_path: A folder that holds the files of ``model_name``; no other place is looked at.
        revision: Branch, tag or commit of the Hub repository.
        max_length: Tokens that a text is cut to, special tokens included. ``None``: ``sentence_bert_config.json`` where
            the model has one, else ``tokenizer_config.json``; `max_length_source` tells.
        truncate: Whether longer texts are cut, with one warning in the log per model; otherwise they are refused.
        dim: Numbers to keep of each vector, for models trained for it (Matryoshka).
        normalize: Whether vectors are scaled to length 1; ``None`` for what the catalogue says of the model.
        pooling: How token vectors become one; ``None`` for what the description says.
        query_prompt: Put before every query, verbatim; ``None`` for the model's own, ``""`` for none.
        passage_prompt: Put before every passage, likewise.
        task_id: Task of `embed`, by number or name, for models with tasks (jina-embeddings-v3).
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory for later runs.
        session_options: Further attributes of ``onnxruntime.SessionOptions``, or configuration entries.
        token_budget: Tokens of a padded batch; a longer text runs alone. ``None``: 256 for each processor in use.

    Raises:
        UnknownModelError: The name is not known; the nearest ones are offered.
        ModelNotFoundError: No source could give the files, or a folder holds no model.
        InputError: A value is out of range.
        InputTypeError: A value has the wrong type.
        ProviderError: A provider or device is not available.
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str] = "BAAI/bge-small-en-v1.5",
        cache_dir: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        cuda: bool | Device | str = Device.AUTO,
        device_ids: Sequence[int] | None = None,
        lazy_load: bool = False,
        *,
        local_files_only: bool = False,
        specific_model_path: str | os.PathLike[str] | None = None,
        revision: str | None = None,
        max_length: int | None = None,
        truncate: bool = True,
        dim: int | None = None,
        normalize: bool | None = None,
        pooling: PoolingType | str | None = None,
        query_prompt: str | None = None,
        passage_prompt: str | None = None,
        task_id: int | str | None = None,
        enable_cpu_mem_arena: bool | None = None,
        session_options: Mapping[str, OptionValue] | None = None,
        token_budget: int | None = None,
    ) -> None:
        chosen = parse_pooling(pooling)
        model, folder = find_model(dense_registry, model_name, specific_model_path, partial(_describe, chosen))
        if chosen is not None:
            model = replace(model, pooling=chosen)
        engine = engine_settings(
            model,
            folder,
            cache_dir=cache_dir,
            threads=threads,
            providers=providers,
            cuda=cuda,
            device_ids=device_ids,
            local_files_only=local_files_only,
            revision=revision,
            max_length=check_max_length(max_length),
            enable_cpu_mem_arena=enable_cpu_mem_arena,
            session_options=session_options,
        )
        self._vector_settings = VectorSettings(
            normalize=None if normalize is None else check_flag(normalize, "normalize"),
            dim=check_dim(model, dim, size_known=folder is None),
            query_prompt=parse_prompt(query_prompt, model.prompts.query, "query_prompt"),
            passage_prompt=parse_prompt(passage_prompt, model.prompts.passage, "passage_prompt"),
            task=parse_task(model, task_id),
            truncate=check_flag(truncate, "truncate"),
        )
        self._token_budget = None if token_budget is None else check_count(token_budget, "token_budget", 1)
        self._handle: EngineHandle[EngineSettings[DenseModel], DenseEngine] = EngineHandle(engine, _make_engine)
        if not lazy_load:
            self._engine.load()

    def __copy__(self) -> TextEmbedding:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> TextEmbedding:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r})"

    @property
    def _engine(self) -> DenseEngine:
        """This process's engine for these settings."""
        return self._handle.get()

    @property
    def _engine_settings(self) -> EngineSettings[DenseModel]:
        return self._handle.settings

    # what the model is

    @property
    def model_name(self) -> str:
        """The model's name as the catalogue spells it, or its folder."""
        return self._engine_settings.model.name

    @property
    def embedding_size(self) -> int:
        """Numbers of each vector. Loads the weights only for a folder that does not say."""
        size = self._vector_settings.dim
        if size is not None:
            return size
        model, folder = self._engine_settings.model, self._engine_settings.store.specific_model_path
        # A folder opened under the name of a catalogue model may hold a smaller stand-in; one opened by itself told its
        # size.
        described_itself = folder is None or folder == model.name
        return model.dim if described_itself and model.dim else self._engine.dim

    @property
    def max_length(self) -> int:
        """Tokens that a text is cut to, special tokens included; reads the tokenizer."""
        return self._engine.tokenizer.rules.max_length

    @property
    def max_length_source(self) -> str:
        """The file, or the argument, that `max_length` comes from; reads the tokenizer."""
        return self._engine.tokenizer.rules.max_length_source

    @property
    def max_concurrency(self) -> int:
        """How many calls of the asynchronous methods run at once."""
        return self._engine.pool.max_concurrency

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory."""
        return self._engine.loaded

    @property
    def description(self) -> dict[str, object]:
        """What is known of the model as it is used here, as plain data; reads the tokenizer.

        The entries of `list_supported_models`, with the effective ``dim``, ``normalize``, ``prompts``, ``max_length``
        and ``max_length_source``, and ``source`` for where the files were found.
        """
        model, vectors = self._engine_settings.model, self._vector_settings
        return {
            **describe(model),
            "dim": self.embedding_size,
            "normalize": model.normalize if vectors.normalize is None else vectors.normalize,
            "prompts": {"query": vectors.query_prompt, "passage": vectors.passage_prompt},
            "max_length": self.max_length,
            "max_length_source": self.max_length_source,
            "source": self._engine.folder.source,
        }

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that would make this object again, ``lazy_load`` aside; defaults filled in."""
        model, vectors = self._engine_settings.model, self._vector_settings
        return {
            **engine_options(self._engine_settings),
            "truncate": vectors.truncate,
            "dim": vectors.dim,
            "normalize": vectors.normalize,
            "pooling": model.pooling.value,
            "query_prompt": vectors.query_prompt,
            "passage_prompt": vectors.passage_prompt,
            "task_id": vectors.task,
            "token_budget": self._token_budget,
        }

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        from onnxembed.hub.fingerprint import folder_fingerprint

        model = self._engine_settings.model
        folder = folder_fingerprint(self._engine.folder.path, model.model_file, model.additional_files)
        relevant = (model.pooling, model.normalize, model.output, model.pad_to_max_length, model.default_task)
        tasks = (model.query_task, model.passage_task)
        options = (asdict(self._vector_settings), self.max_length, relevant, tasks, model.matryoshka)
        return hashlib.sha256(f"{folder}\0{options!r}".encode()).hexdigest()[:32]

    # embedding

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: int = 256,
        parallel: int | None = None,
        *,
        task_id: int | str | None = None,
        prompt: str | None = None,
    ) -> Iterator[Vector]:
        """Embed texts as they are: no prompt is added unless one is given.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch; batches are also bounded by ``token_budget``.
            parallel: Batches run at once. ``None`` for one a device, each using ``threads`` processors; 0 for one a
                usable processor.
            task_id: Task, by number or name, for models with tasks.
            prompt: Put before every text, verbatim.

        Returns:
            An iterator of float32 vectors (dim,), in the order of the texts.
        """
        call = self._call(documents, "documents", batch_size, parallel, prompt=prompt, task=task_id)
        return self._stream(call)

    def query_embed(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[Vector]:
        """Embed queries, each after the model's query prompt.

        Args:
            query: One query, or any iterable of queries.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An iterator of float32 vectors (dim,), in the order of the queries.
        """
        return self._stream(self._call(query, "query", batch_size, parallel, side="query"))

    def passage_embed(
        self, texts: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[Vector]:
        """Embed passages, each after the model's passage prompt.

        Args:
            texts: One passage, or any iterable of passages.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An iterator of float32 vectors (dim,), in the order of the passages.
        """
        return self._stream(self._call(texts, "texts", batch_size, parallel, side="passage"))

    def embed_to_array(
        self,
        documents: str | Iterable[str],
        batch_size: int = 256,
        parallel: int | None = None,
        *,
        side: Side | None = None,
        task_id: int | str | None = None,
        prompt: str | None = None,
    ) -> Matrix:
        """Embed texts into one array.

        Args:
            documents: One text, or any iterable of texts.
            batch_size: As for `embed`.
            parallel: As for `embed`.
            side: ``"query"`` or ``"passage"`` for the prompt and task of that side; ``None`` for neither.
            task_id: As for `embed`.
            prompt: As for `embed`.

        Returns:
            float32 (texts, dim); (0, dim) when there are none.
        """
        return self._collect(
            self._call(documents, "documents", batch_size, parallel, side=side, prompt=prompt, task=task_id)
        )

    def token_count(self, texts: str | Iterable[str], batch_size: int = 1024) -> int:
        """Count tokens, special tokens included and each text cut to `max_length`; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Texts counted at once.

        Returns:
            The sum; 0 for no texts.
        """
        check_count(batch_size, "batch_size", 1)
        checked = _checked(as_texts(texts, "texts"))
        return sum(self._engine.tokenizer.count(chunk) for chunk in _chunks(checked, batch_size))

    # the same without blocking an event loop

    def aembed(
        self,
        documents: str | Iterable[str],
        batch_size: int = 256,
        parallel: int | None = None,
        *,
        task_id: int | str | None = None,
        prompt: str | None = None,
    ) -> AsyncIterator[Vector]:
        """Asynchronous twin of `embed`: runs in the model's own small pool, with the caller's context variables.

        Args:
            documents: As for `embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.
            task_id: As for `embed`.
            prompt: As for `embed`.

        Returns:
            An asynchronous iterator of float32 vectors (dim,).
        """
        call = self._call(documents, "documents", batch_size, parallel, prompt=prompt, task=task_id)
        return self._engine.pool.iterate(self._lazy_stream(call))

    def aquery_embed(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[Vector]:
        """Asynchronous twin of `query_embed`.

        Args:
            query: As for `query_embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of float32 vectors (dim,).
        """
        return self._engine.pool.iterate(
            self._lazy_stream(self._call(query, "query", batch_size, parallel, side="query"))
        )

    def apassage_embed(
        self, texts: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[Vector]:
        """Asynchronous twin of `passage_embed`.

        Args:
            texts: As for `passage_embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of float32 vectors (dim,).
        """
        return self._engine.pool.iterate(
            self._lazy_stream(self._call(texts, "texts", batch_size, parallel, side="passage"))
        )

    async def aembed_to_array(
        self,
        documents: str | Iterable[str],
        batch_size: int = 256,
        parallel: int | None = None,
        *,
        side: Side | None = None,
        task_id: int | str | None = None,
        prompt: str | None = None,
    ) -> Matrix:
        """Asynchronous twin of `embed_to_array`.

        Args:
            documents: As for `embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.
            side: As for `embed_to_array`.
            task_id: As for `embed`.
            prompt: As for `embed`.

        Returns:
            float32 (texts, dim).
        """
        call = self._call(documents, "documents", batch_size, parallel, side=side, prompt=prompt, task=task_id)
        return await self.run_async(lambda: self._collect(call))

    async def run_async(self, function: Callable[[], T]) -> T:
        """Await a blocking call in the model's own pool, at most `max_concurrency` at once.

        The caller's context variables are copied. Cancelling drops a call that has not begun; one under way finishes.

        Args:
            function: The call.

        Returns:
            What it returns.
        """
        return await self._engine.pool.run(function)

    # models

    @classmethod
    def list_supported_models(cls) -> list[dict[str, object]]:
        """Tell what models there are, those added by `add_custom_model` included.

        Returns:
            A description of each, as plain data.
        """
        return [describe(model) for model in dense_registry.models()]

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        """Tell how many numbers the vectors of a model have, without its files.

        Args:
            model_name: Its name, in any case.

        Returns:
            The number.
        """
        return dense_registry.find(model_name).dim

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        pooling: PoolingType | str,
        normalization: bool,
        sources: ModelSource,
        dim: int,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        query_prompt: str = "",
        passage_prompt: str = "",
        matryoshka_dims: Sequence[int] | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """Add a model for this process; embeddings made from it carry its description to other processes.

        Args:
            model: Its name; no other model may have it, case aside.
            pooling: How token vectors become one.
            normalization: Whether vectors are scaled to length 1.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first.
            query_prompt: Put before every query.
            passage_prompt: Put before every passage.
            matryoshka_dims: Lengths that the vectors may be cut to; an empty list for any, ``None`` for none.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource` or ``pooling`` is none at all.
        """
        if not isinstance(sources, ModelSource):
            raise InputTypeError(f"sources={sources!r}: expected a ModelSource, such as ModelSource(hf='org/name')")
        chosen = parse_pooling(pooling)
        if chosen is None:
            raise InputTypeError("pooling=None: expected a PoolingType")
        dense_registry.add(
            DenseModel(
                name=model,
                sources=(sources,),
                dim=dim,
                model_file=model_file,
                additional_files=tuple(additional_files or ()),
                pooling=chosen,
                normalize=normalization,
                output=0 if output_name is None else output_name,
                static=model_file.endswith(".safetensors"),
                prompts=Prompts(query_prompt, passage_prompt),
                matryoshka=None if matryoshka_dims is None else Matryoshka(tuple(matryoshka_dims)),
                max_tokens=max_tokens,
                license=license,
                size_in_gb=size_in_gb,
                description=description,
            )
        )

    # one call

    def _call(
        self,
        texts: object,
        name: str,
        batch_size: int,
        parallel: int | None,
        *,
        side: Side | None = None,
        prompt: str | None = None,
        task: int | str | None = None,
    ) -> Call:
        """Check a call's arguments; loads nothing."""
        use = choose_use(self._engine_settings.model, self._vector_settings, side=side, prompt=prompt, task=task)
        return check_call(use, texts, name, batch_size, parallel)

    def _stream(self, call: Call) -> Iterator[Vector]:
        """Load the model if need be, and begin."""
        from onnxembed.api.engine import nothing, start

        if nothing(call.texts):
            return iter(())
        return start(
            self._engine,
            self._engine.family(self._vector_settings, call.use),
            call.texts,
            batch_size=call.batch_size,
            parallel=call.parallel,
            budget=self._token_budget,
        )

    def _lazy_stream(self, call: Call) -> Iterator[Vector]:
        """The same, but the model is loaded by whoever takes the first step."""
        yield from self._stream(call)

    def _collect(self, call: Call) -> Matrix:
        """All vectors of a call in one array."""
        import numpy as np

        vectors = list(self._stream(call))
        if not vectors:
            return np.zeros((0, self.embedding_size), dtype=np.float32)
        return np.stack(vectors)


def _checked(texts: Iterable[object]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield check_text(text, index)


def _chunks(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    from itertools import islice

    while chunk := list(islice(texts, size)):
        yield chunk


def _describe(pooling: PoolingType | None, folder: Path) -> DenseModel:
    from onnxembed.text.discovery import describe_folder

    return describe_folder(folder, pooling)


def _make_engine(settings: EngineSettings[DenseModel]) -> DenseEngine:
    from onnxembed.text.engine import DenseEngine

    return DenseEngine(settings)
