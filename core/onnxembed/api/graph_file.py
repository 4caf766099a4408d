"""From a model's folder to a graph file that ONNX Runtime can load: found, inspected, compiled where there is none."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from onnxembed.api.exported import ready_graph
from onnxembed.api.kept_graph import Make, keep, kept_graph
from onnxembed.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.foreign import describe, is_foreign
from onnxembed.formats.onnx_graph import GraphFacts, TensorInfo, inspect_graph
from onnxembed.formats.outline import outline
from onnxembed.formats.unpadded import LEAST_LENGTH, unpadded
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.content import content_digest, digest_memory
from onnxembed.hub.exported import MANIFEST_FILE, Manifest, ReadyGraph, manifest_of
from onnxembed.hub.external_data import loadable_model_path
from onnxembed.hub.files import FolderFiles, find_graph, weights_names
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, ModelFolder, absent
from onnxembed.hub.settings import StoreSettings
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.precision import FULL_BITS, WEIGHT_BITS, GraphNumbers
from onnxembed.runtime.provider_traits import (
    ATTENTION_BY_LENGTHS_SINCE,
    GraphForm,
    Operators,
    has_attention_by_lengths,
    processor_form,
)
from onnxembed.runtime.session import DataFile
from onnxembed.spec import GraphHead, ModelSpec, Recipe
from onnxembed.suggest import listed

_NAMES_SHOWN = 8
_STANDARD = Operators.STANDARD_ATTENTION
_ATTENTION = ("", "Attention")
# Larger ones are graphs that hold their weights.
_MOST_GRAPH_BYTES = 16 * 1024 * 1024
_MASK = "attention_mask"
# Part of the name of a kept graph in 16 bits, raised when its making changes.
_HALF_VERSION = 2
# Processors that load numbers from any address as fast as from a multiple of their size.
_READ_ANYWHERE = frozenset({"x86_64", "aarch64", "arm64"})

logger = logging.getLogger("onnxembed.models")


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A graph that is safe to load.

    Attributes:
        path: The file; for as long as `prepared_graph` lasts.
        inputs: What the graph takes.
        outputs: What it gives.
        compiled: Whether it was made here, with outputs ``pooled`` and ``sentence_embedding``.
        dynamically_quantized: Whether it scales activations at run time, per batch.
        data: The files beside it with weights of it.
        pooled: Whether it was shipped, and these two outputs were added to it.
        lengths_apart_from: Tokens from which a text runs with texts of its own length alone, so that its attention
            needs no lengths; ``None`` where no length matters.
    """

    path: Path
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    compiled: bool
    dynamically_quantized: bool
    data: tuple[DataFile, ...] = ()
    pooled: bool = False
    lengths_apart_from: int | None = None

    @property
    def pools(self) -> bool:
        """Whether it gives ``pooled`` and ``sentence_embedding``, by the mask."""
        return self.compiled or self.pooled

    def output_name(self, wanted: int | str) -> str:
        """The name of an output given by position or by name."""
        names = [output.name for output in self.outputs]
        if isinstance(wanted, int) and wanted < len(names):
            return names[wanted]
        if wanted in names:
            return str(wanted)
        raise ModelError(f"{self.path} has no output {wanted!r}; it has {', '.join(map(repr, names))}")

    def token_output(self, named: str | None) -> str:
        """The output with one vector per token: the named one, else the first of three axes."""
        if named is not None:
            return self.output_name(named)
        for info in self.outputs:
            if info.shape is None or len(info.shape) == 3:
                return info.name
        shapes = ", ".join(f"{info.name} {list(info.shape or ())}" for info in self.outputs)
        raise ModelError(f"{self.path} gives no vector per token: its outputs are {shapes}; expected one of three axes")

    def axes(self, output: str) -> int | None:
        """The number of dimensions of an output, or ``None`` when the graph does not say."""
        shape = next((info.shape for info in self.outputs if info.name == output), None)
        return None if shape is None else len(shape)

    def dim(self, output: str) -> int | None:
        """The last dimension of an output, or ``None`` when the graph leaves it open."""
        for info in self.outputs:
            if info.name == output and info.shape and isinstance(info.shape[-1], int):
                return info.shape[-1]
        return None


def graph_width(folder: str, model_file: str, output: int | str | None) -> int | None:
    """Numbers of a vector as the graph in a folder has them, 0 where it leaves them open; ``None`` without a graph.

    ``output`` is the one that is taken, ``None`` for the first with a vector per token.
    """
    found = find_graph(Path(folder), model_file)
    if found is None:
        return None
    file = _describe(found, inspect_graph(found), (), compiled=False)
    return file.dim(file.token_output(None) if output is None else file.output_name(output)) or 0


@contextmanager
def prepared_graph(
    folder: ModelFolder,
    model: ModelSpec,
    store: StoreSettings,
    accept_unknown: tuple[str, ...] = (),
    numbers: GraphNumbers = GraphNumbers.SINGLE,
    form: GraphForm | None = None,
) -> Iterator[GraphFile]:
    """Give a graph that may be loaded while the context lasts; it runs no code and reads no foreign files.

    ``accept_unknown`` are keys of ``config.json`` that the compiler passes over; other ``numbers`` than those of single
    precision give a graph that is rewritten to them; ``form`` is what its provider wants, by default the processor. A
    folder that holds neither a graph nor weights is a `ModelNotFoundError`.
    """
    exported = manifest_of(folder.path)
    if exported is not None:
        with ready_graph(folder.path, exported, model) as ready:
            yield _ready(folder.path, exported, ready)
        return
    with _full_graph(folder, model, store, accept_unknown, _form(form, numbers)) as full:
        if numbers is GraphNumbers.SINGLE:
            yield full
            return
        with kept_graph(store, full.path, *_rewriting(full.path, store, numbers)) as path:
            facts = inspect_graph(path)
            data = tuple(DataFile(path.parent / name) for name in facts.external_data)
            made = _made_here(path, facts, data) if full.compiled else _describe(path, facts, data, compiled=False)
            yield replace(_rounded(made), pooled=full.pooled)


def _form(form: GraphForm | None, numbers: GraphNumbers) -> GraphForm:
    """The form of the full graph; narrow floats are put into ONNX Runtime's own attention."""
    form = processor_form() if form is None else form
    narrow = numbers in (GraphNumbers.FLOAT16, GraphNumbers.BFLOAT16)
    return replace(form, operators=Operators.FUSED) if narrow and form.operators is _STANDARD else form


def _ready(folder: Path, exported: Manifest, graph: ReadyGraph) -> GraphFile:
    """The graph of an exported folder, as it was loaded where it was made."""
    path = folder / graph.path
    facts = inspect_graph(path)
    digests = {folder / name: exported.files[name][0] for name in graph.data}
    files = [path.parent / name for name in facts.external_data]
    if set(files) != set(digests):
        raise ModelError(f"{path} keeps weights in other files than {folder / MANIFEST_FILE} lists; export it again")
    data = tuple(DataFile(file, digests[file]) for file in files)
    if graph.compiled:
        if _ATTENTION in facts.operators and not has_attention_by_lengths():
            needed = ".".join(map(str, ATTENTION_BY_LENGTHS_SINCE))
            raise UnsupportedModelError(
                f"{folder} was exported for ONNX Runtime {needed} or later, which computes attention by the lengths "
                f"of texts; installed is {import_onnxruntime().__version__}: upgrade it, or export the model again"
            )
    else:
        data = data or _own_data(path, lambda _: exported.files[graph.path][0])
    file = _describe(path, facts, data, compiled=graph.compiled)
    return file if exported.weight_bits == FULL_BITS else _rounded(file)


def _rounded(file: GraphFile) -> GraphFile:
    """A graph in 8 bits: it scales each row by itself, although its operators are those of dynamic quantisation."""
    return replace(file, dynamically_quantized=False)


@contextmanager
def _full_graph(
    folder: ModelFolder, model: ModelSpec, store: StoreSettings, accept_unknown: tuple[str, ...], form: GraphForm
) -> Iterator[GraphFile]:
    """Give the graph as it is shipped or compiled."""
    weights = weights_names(FolderFiles(folder.path), model.body_folder)
    # Weights that the description names are what it means, even where a graph lies beside them.
    found = None if model.model_file in weights else find_graph(folder.path, model.model_file)
    if found is not None:
        facts = inspect_graph(found)
        if model.recipe is not None and model.recipe.head is GraphHead.VOCABULARY_MAXIMUM:
            found, facts = _reduced(found, facts, store)
        pooled = _pooled(found, facts, model, store) if form.pooled else None
        if pooled is not None:
            found, facts = pooled, inspect_graph(pooled)
        path, memory = loadable_model_path(found, facts.external_data, store), digest_memory(store)
        data = (path.parent / name for name in facts.external_data)
        described = tuple(DataFile(file, content_digest(file, memory)) for file in data) or _own_data(
            path, lambda file: content_digest(file, memory)
        )
        yield replace(_describe(path, facts, described, compiled=False), pooled=pooled is not None)
        return
    if not weights:
        tried = ", ".join(dict.fromkeys((model.model_file, *GRAPH_LAYOUTS, WEIGHTS_FILE)))
        raise ModelNotFoundError(f"{folder.path} holds no model: none of {tried} is there")
    if model.recipe is None:
        raise ModelNotFoundError(
            f"{folder.path} holds weights but no graph, and a model of this kind cannot be compiled from weights; "
            f"expected {model.model_file}"
        )
    missing = absent(folder.path, weights)
    if missing:
        raise ModelNotFoundError(
            f"{folder.path} lacks files of its weights: {listed(missing, _NAMES_SHOWN)}; fetch the model again"
        )
    body = folder.path / model.body_folder
    making, compile_to = _compiling(body, model.recipe, accept_unknown, form.operators, store.show_progress)
    shards = "".join(f"\0{content_digest(folder.path / name, digest_memory(store))}" for name in weights[1:])
    with kept_graph(store, folder.path / weights[0], making + shards, compile_to) as path:
        facts = inspect_graph(path)
        # Without digests: a graph that was made here is loaded again after any change.
        yield _made_here(path, facts, tuple(DataFile(path.parent / name) for name in facts.external_data))


def _made_here(path: Path, facts: GraphFacts, data: tuple[DataFile, ...]) -> GraphFile:
    """A compiled graph, which computes long attention without scores; see `unpadded`."""
    if data and _ATTENTION in facts.operators and path.stat().st_size <= _MOST_GRAPH_BYTES:
        data = (replace(data[0], outline=unpadded(path.read_bytes())), *data[1:])
    return _describe(path, facts, data, compiled=True)


def _own_data(graph: Path, digest: Callable[[Path], str]) -> tuple[DataFile, ...]:
    """The graph's own file, where its weights are mapped instead of copied."""
    if sys.platform == "win32" or os.uname().machine not in _READ_ANYWHERE:
        return ()  # a mapped file cannot be replaced on Windows
    file = graph.resolve()
    outlined = outline(file)
    return () if outlined is None else (DataFile(file, digest(file), outlined),)


def _rewriting(graph: Path, store: StoreSettings, numbers: GraphNumbers) -> tuple[str, Make]:
    """What decides a graph in other numbers beside the full one, and what makes it."""
    data = inspect_graph(graph).external_data
    outside = "".join(f"\0{content_digest(graph.parent / name, digest_memory(store))}" for name in data)
    bits = WEIGHT_BITS.get(numbers)
    if bits is not None:
        return f"{bits} bits, form 5{outside}", partial(_round_to, graph, bits)
    return f"{numbers.value} {_HALF_VERSION}{outside}", partial(_halve, graph, numbers)


def _round_to(graph: Path, weight_bits: int, target: Path) -> None:
    from onnxembed.compile.rewrite.int8.quantize import quantize_graph

    done = quantize_graph(graph, target, weight_bits=weight_bits)
    if done.kept:
        names = listed([f"{name} ({error:.0%})" for name, error in done.kept], _NAMES_SHOWN)
        logger.warning(
            "%s: these products and tables stay in single precision, 8 bits would spoil them: %s", graph, names
        )
    if done.left:
        names = listed(done.left, _NAMES_SHOWN)
        logger.warning("%s: these operators stay in single precision, their form is not rewritten: %s", graph, names)
    logger.info("%s: %d products and %d tables are in 8 bits", graph, done.products, done.tables)


def _halve(graph: Path, numbers: GraphNumbers, target: Path) -> None:
    from onnxembed.compile.rewrite.half.convert import halve_graph
    from onnxembed.compile.rewrite.half.formats import BFLOAT16, FLOAT16

    done = halve_graph(graph, target, FLOAT16 if numbers is GraphNumbers.FLOAT16 else BFLOAT16)
    if done.kept:
        names = listed([f"{name} ({number:.3g})" for name, number in done.kept], _NAMES_SHOWN)
        logger.warning(
            "%s: these products stay in single precision, their numbers are too large or too small: %s", graph, names
        )
    logger.info("%s: %d products and %d tables are in %s", graph, done.products, done.tables, numbers.value)


def _describe(path: Path, facts: GraphFacts, data: tuple[DataFile, ...], *, compiled: bool) -> GraphFile:
    apart = LEAST_LENGTH if compiled and _ATTENTION in facts.operators else None
    return GraphFile(
        path, facts.inputs, facts.outputs, compiled, facts.dynamically_quantized, data, lengths_apart_from=apart
    )


def _compiling(
    folder: Path,
    recipe: Recipe,
    accept_unknown: tuple[str, ...],
    operators: Operators,
    show_progress: bool | None,
) -> tuple[str, Make]:
    """What decides a compiled graph beside the weights, and what compiles it."""

    def compile_to(target: Path) -> None:
        from onnxembed.compile import compile_model

        # Weights beside the graph are mapped; inside it they would be parsed and copied at every start.
        try:
            compile_model(
                folder,
                target,
                head=recipe.head,
                pooling=recipe.pooling,
                tokens=recipe.tokens,
                single_file=False,
                accepted=accept_unknown,
                operators=operators,
                show_progress=show_progress,
            )
        except OSError:
            raise  # of the disk that is written to: `keep` goes on without keeping
        except Exception as error:
            if not is_foreign(error):
                raise
            raise ModelError(
                f"the weights in {folder} cannot be compiled ({describe(error)}); fetch the model again"
            ) from error

    config = (folder / CONFIG_FILE).read_bytes() if (folder / CONFIG_FILE).is_file() else b""
    # Keys are accepted by one caller, not by the next who asks for the same graph.
    accepted = f"\0{accept_unknown!r}" if accept_unknown else ""
    made_of = "" if operators is Operators.FUSED else f"\0{operators.value} operators"
    return f"{recipe!r}\0{hashlib.sha256(config).hexdigest()}{accepted}{made_of}", compile_to


def _pooled(graph: Path, facts: GraphFacts, model: ModelSpec, store: StoreSettings) -> Path | None:
    """A copy of a graph that pools its token vectors, where there are any and such a copy can be kept.

    The graph itself serves, too, at the price of copying all token vectors from the device.
    """
    output, recipe = model.pooled_output, model.recipe
    if output is None or recipe is None or facts.external_data:
        return None
    tokens = _describe(graph, facts, (), compiled=False).output_name(output)
    poolings = recipe.pooling if isinstance(recipe.pooling, tuple) else (recipe.pooling,)
    if _MASK not in {value.name for value in facts.inputs}:
        return None

    def pool(target: Path) -> None:
        from onnxembed.compile.rewrite.pool_tokens import with_pooled

        with_pooled(graph, target, tokens=tokens, poolings=poolings)

    try:
        return keep(store, graph, f"{tokens} pooled by {'+'.join(poolings)}", pool)
    except UnsupportedModelError as error:
        logger.info("the token vectors of %s are pooled outside the graph (%s)", graph, error)
        return None


def _reduced(graph: Path, facts: GraphFacts, store: StoreSettings) -> tuple[Path, GraphFacts]:
    """A copy of a graph that gives the maximum of its logits over the tokens, where such a copy can be kept.

    The graph itself serves, too, at the price of copying all logits out of ONNX Runtime. So it does when its weights
    lie beside it, which a copy elsewhere would not find.
    """
    logits = facts.outputs[0]
    if facts.external_data or len(logits.shape or ()) != 3 or _MASK not in {i.name for i in facts.inputs}:
        return graph, facts

    def reduce_to(target: Path) -> None:
        from onnxembed.compile.rewrite.reduce_logits import with_max_over_tokens

        with_max_over_tokens(graph, target, logits=logits.name, attention_mask=_MASK)

    try:
        kept = keep(store, graph, "maximum over tokens", reduce_to)
    except UnsupportedModelError as error:
        logger.info("the logits of %s are reduced outside the graph (%s)", graph, error)
        kept = None
    return (graph, facts) if kept is None else (kept, inspect_graph(kept))
