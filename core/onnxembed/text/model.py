"""`TextEmbedding`, the public class of dense text models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from onnxembed.api.asynchronous import awaited, streamed
from onnxembed.api.custom import Adding
from onnxembed.api.find import find_model
from onnxembed.api.inputs import check_count, check_texts, in_chunks
from onnxembed.api.model import constructor
from onnxembed.api.output_precision import OutputPrecision
from onnxembed.api.settings import EngineSettings
from onnxembed.api.vector_model import VectorModel
from onnxembed.catalog.registry import Registry
from onnxembed.errors import InputError, InputTypeError
from onnxembed.spec import PoolingType
from onnxembed.text.known import dense_registry, describe_dense
from onnxembed.text.options import (
    DenseOptions,
    InputType,
    Use,
    named_prompt,
    parse_prompt,
    parse_task,
    settle,
    uses_of,
)
from onnxembed.text.spec import DenseModel

if TYPE_CHECKING:
    import numpy as np

    from onnxembed.hub.files import Files
    from onnxembed.text.engine import DenseEngine
    from onnxembed.text.routed_engine import RoutedEngine

    # float32, but for an output precision.
    Vector = np.ndarray[tuple[int], np.dtype[Any]]
    Matrix = np.ndarray[tuple[int, int], np.dtype[Any]]


class TextEmbedding(VectorModel[DenseOptions, DenseModel, "DenseEngine | RoutedEngine"]):
    """Dense text embeddings with an ONNX model.

    Names, methods and parameters are those that users of fastembed know; options after ``lazy_load`` are keywords.
    Objects are immutable, safe to share between threads, usable after a fork, and small when pickled: only settings
    travel, and the model is opened again where it is used. Two objects that need the same weights share them within a
    process. The options are those of `DenseOptions`.
    """

    @constructor(DenseOptions)
    def __init__(self, options: DenseOptions) -> None:
        chosen = None if options.pooling is None else PoolingType(options.pooling)
        describe = partial(_describe_files, chosen)
        model, folder, by_files = find_model(dense_registry, options, describe)
        if chosen is not None:
            model = replace(model, pooling=chosen, further_poolings=())
        # A folder that is opened under the name of a model may hold a smaller stand-in, and only a static model's table
        # tells its own size for certain.
        certain = options.specific_model_path is None and (folder is None or not model.static)
        self._size_known = certain and model.dim > 0 and (folder is None or _graph_says_size(model, folder))
        options = settle(options, model, size_known=self._size_known)
        self._uses = uses_of(options, model)
        self._open(model, folder, options, _make_engine, by_files)
        if options.dim is not None and options.specific_model_path is None and not options.lazy_load:
            self._check_dim(options.dim)

    # what the model is

    @property
    def embedding_size(self) -> int:
        """Numbers of each vector. Loads the weights only for a folder that does not say."""
        dim = self._options.dim
        if dim is None:
            return super().embedding_size if self._size_known else self._engine.dim
        self._check_dim(dim)
        return dim

    def _check_dim(self, dim: int) -> None:
        """Refuse a length that the files do not give; loads the weights where the description may be wrong."""
        full = 0 if self._size_known else self._engine.dim
        if full and dim > full:
            what = "table has" if self._settings.model.static else "graph gives"
            raise InputError(f"dim={dim}: the {what} vectors of {full} numbers; pass at most that")

    @property
    def max_length(self) -> int:
        """Tokens that a text is cut to, special tokens included; reads the tokenizer."""
        return self._engine.tokenizer.rules.max_length

    @property
    def max_length_source(self) -> str:
        """The file, or the argument, that `max_length` comes from; reads the tokenizer."""
        return self._engine.tokenizer.rules.max_length_source

    @property
    def description(self) -> dict[str, object]:
        """What is known of the model as it is used here, as plain data; reads the tokenizer.

        The entries of `list_supported_models`, with the effective ``dim``, ``normalize``, ``prompts``, ``max_length``
        and ``max_length_source``, `precision`, and ``source`` for where the files were found.
        """
        model, options = self._settings.model, self._options
        return {
            **describe_dense(model),
            "dim": self.embedding_size,
            "normalize": model.normalize if options.normalize is None else options.normalize,
            "prompts": {
                **dict(model.named_prompts),
                "query": options.query_prompt,
                "passage": options.passage_prompt,
            },
            "max_length": self.max_length,
            "max_length_source": self.max_length_source,
            "precision": self.precision,
            "source": self._engine.base.folder.source,
        }

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        model, options = self._settings.model, self._options
        chosen = (options.normalize, options.dim, options.query_prompt, options.passage_prompt, options.task_id)
        own = (model.pooling, model.normalize, model.output, model.pad_to_max_length, model.default_task)
        tasks = (model.query_task, model.passage_task)
        relevant = (chosen, options.truncate, self.max_length, own, tasks, model.matryoshka)
        return self._digest((relevant, model.own_facts) if model.own_facts else relevant)

    # embedding

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        task_id: int | str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        output_precision: OutputPrecision = "float32",
        ranges: object = None,
    ) -> Iterator[Vector]:
        """Embed texts as they are: no prompt is added unless one is given, or the model's files name a default one.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch, which ``token_budget`` bounds as well; ``None`` leaves it to that.
            parallel: Batches run at once. ``None`` for one per device, each using ``threads`` processors; 0 for one per
                usable processor.
            task_id: Task, by number or name, for models with tasks.
            prompt: Put before every text, verbatim.
            prompt_name: The name of the model's prompt that is put before every text, instead of ``prompt``.
            output_precision: In which numbers vectors are given, as `quantize_embeddings` encodes them. ``"int8"`` and
                ``"uint8"`` without ``ranges`` take those of all texts of the call: the first vector comes after the
                last text, and all are held until then.
            ranges: (2, dim), the least and the largest value of each dimension, for ``"int8"`` and ``"uint8"``; queries
                need those of the documents. `quantization_ranges` measures them.

        Returns:
            An iterator of vectors in the order of the texts: float32 (dim,), or of the output precision, with
            ``ceil(dim / 8)`` bytes where signs are packed.
        """
        use = self._use(None, prompt, task_id, prompt_name)
        items = check_texts(documents, "documents")
        if output_precision == "float32" and ranges is None:
            return self._stream(items, use, batch_size, parallel)
        return self._stream_encoded(items, use, batch_size, parallel, output_precision, ranges)

    def query_embed(
        self,
        query: str | Iterable[str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        prompt_name: str | None = None,
        output_precision: OutputPrecision = "float32",
        ranges: object = None,
    ) -> Iterator[Vector]:
        """Embed one query, or any iterable of queries, each after the model's query prompt; otherwise as `embed`."""
        use = self._use("query", None, None, prompt_name)
        items = check_texts(query, "query")
        if output_precision == "float32" and ranges is None:
            return self._stream(items, use, batch_size, parallel)
        return self._stream_encoded(items, use, batch_size, parallel, output_precision, ranges)

    def passage_embed(
        self,
        texts: str | Iterable[str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        prompt_name: str | None = None,
        output_precision: OutputPrecision = "float32",
        ranges: object = None,
    ) -> Iterator[Vector]:
        """Embed one document, or any iterable of documents, each after the model's prompt; otherwise as `embed`."""
        use = self._use("document", None, None, prompt_name)
        items = check_texts(texts, "texts")
        if output_precision == "float32" and ranges is None:
            return self._stream(items, use, batch_size, parallel)
        return self._stream_encoded(items, use, batch_size, parallel, output_precision, ranges)

    def embed_to_array(
        self,
        documents: str | Iterable[str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        input_type: InputType | None = None,
        task_id: int | str | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        output_precision: OutputPrecision = "float32",
        ranges: object = None,
    ) -> Matrix:
        """Embed texts into one array; the arguments are those of `embed`.

        Args:
            documents: One text, or any iterable of texts.
            batch_size: Most texts in a batch; ``None`` leaves it to ``token_budget``.
            parallel: Batches run at once.
            input_type: ``"query"`` or ``"document"`` for the prompt and the task of that type; ``None`` for neither.
            task_id: Task, by number or name, instead of that of the type.
            prompt: Put before every text, verbatim, instead of that of the type.
            prompt_name: The name of the model's prompt that is put there instead.
            output_precision: In which numbers vectors are given.
            ranges: For ``"int8"`` and ``"uint8"``; ``None`` for those of all texts of the call.

        Returns:
            float32 (texts, dim), or of the output precision; no rows when there are no texts.
        """
        use = self._use(input_type, prompt, task_id, prompt_name)
        items = check_texts(documents, "documents")
        if output_precision == "float32" and ranges is None:
            vectors = self._stream(items, use, batch_size, parallel)
        else:
            vectors = self._stream_encoded(items, use, batch_size, parallel, output_precision, ranges)
        stacked: Matrix = self._stacked(vectors, output_precision)
        return stacked

    def token_count(self, texts: str | Iterable[str], batch_size: int = 1024) -> int:
        """Count tokens, special tokens included and each text cut to `max_length`; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Texts counted at once.

        Returns:
            The sum; 0 for no texts.
        """
        batch_size = check_count(batch_size, "batch_size", 1)
        chunks = in_chunks(check_texts(texts, "texts").items, batch_size)
        return sum(self._engine.tokenizer.count(chunk) for chunk in chunks)

    aembed = streamed(embed)
    aquery_embed = streamed(query_embed)
    apassage_embed = streamed(passage_embed)
    aembed_to_array = awaited(embed_to_array)
    atoken_count = awaited(token_count)

    # models

    add_custom_model = Adding(DenseModel.custom, dense_registry)

    # one call

    def _use(
        self,
        input_type: InputType | None,
        prompt: str | None,
        task: int | str | None,
        named: str | None,
    ) -> Use:
        """Choose prompt and task: the call's own, else those of the input type, else the plain ones."""
        use = self._uses.get(input_type)
        if use is None:
            raise InputTypeError(f"input_type={input_type!r}: expected 'query', 'document' or None")
        model = self._settings.model
        if named is not None:
            if prompt is not None:
                raise InputError(f"prompt={prompt!r} and prompt_name={named!r}: pass one of them")
            prompt = named_prompt(model, named)
        if prompt is None and task is None:
            return use
        return replace(
            use,
            prompt=use.prompt if prompt is None else parse_prompt(prompt, "prompt"),
            task=use.task if task is None else parse_task(model, task),
        )

    def _run(self, items: Iterable[str], use: Use, batch_size: int, workers: int | None) -> Iterator[Vector]:
        from onnxembed.runtime.batching import batch_limits
        from onnxembed.runtime.pipeline import stream

        work, plan = self._engine.work(self._options, use)
        return stream(items, work, batch_limits(plan, batch_size, workers, self._options.token_budget))

    @classmethod
    def _registry(cls) -> Registry[DenseModel]:
        return dense_registry

    _describe = staticmethod(describe_dense)


def _describe_files(pooling: PoolingType | None, files: Files) -> DenseModel:
    from onnxembed.text.discovery import describe

    return describe(files, pooling)


def _graph_says_size(model: DenseModel, folder: str) -> bool:
    """Whether the graph in a folder has the length of its vectors; so do weights that are compiled, and layers."""
    if any(stage.outputs is not None for stage in model.stages):
        return True
    from onnxembed.api.graph_file import graph_width

    return graph_width(folder, model.model_file, model.output) != 0


def _make_engine(settings: EngineSettings[DenseModel]) -> DenseEngine | RoutedEngine:
    from onnxembed.text.engine import DenseEngine
    from onnxembed.text.routed_engine import RoutedEngine

    return RoutedEngine(settings) if settings.model.routes else DenseEngine(settings)
