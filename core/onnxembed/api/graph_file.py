"""From a model's folder to a graph file that ONNX Runtime can load: found, inspected, compiled where there is none."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from onnxembed.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.onnx_graph import GraphFacts, TensorInfo, inspect_graph
from onnxembed.graph_head import GraphHead
from onnxembed.hub import ModelFolder, loadable_model_path, own_folder
from onnxembed.hub.folder import GRAPH_LAYOUTS, WEIGHTS_FILE
from onnxembed.hub.settings import StoreSettings
from onnxembed.spec import Recipe

logger = logging.getLogger("onnxembed.models")

# Part of the name of every compiled graph: a change of the compiler must not meet graphs of an older one.
COMPILER_VERSION = 3


class GraphModel(Protocol):
    """The part of a model's specification that says which graph to load."""

    @property
    def model_file(self) -> str:
        """The graph, relative to the folder."""
        ...

    @property
    def recipe(self) -> Recipe | None:
        """What to make of weights where there is no graph; ``None`` where nothing can be made."""
        ...


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A graph that is safe to load.

    Attributes:
        path: The file; for as long as `prepared_graph` lasts.
        inputs: What the graph takes.
        outputs: What it gives.
        compiled: Whether it was made here, with outputs ``pooled`` and ``sentence_embedding``.
        dynamically_quantized: Whether it scales activations at run time, by batch.
    """

    path: Path
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    compiled: bool
    dynamically_quantized: bool

    def output_name(self, wanted: int | str) -> str:
        """Find an output by position or by name.

        Args:
            wanted: The position or the name.

        Returns:
            The name.

        Raises:
            ModelError: If the graph has no such output.
        """
        names = [output.name for output in self.outputs]
        if isinstance(wanted, int) and wanted < len(names):
            return names[wanted]
        if wanted in names:
            return str(wanted)
        raise ModelError(f"{self.path} has no output {wanted!r}; it has {', '.join(map(repr, names))}")

    def dim(self, output: str) -> int | None:
        """Numbers of a vector.

        Args:
            output: Name of the output.

        Returns:
            The last dimension, or ``None`` when the graph leaves it open.
        """
        for info in self.outputs:
            if info.name == output and info.shape and isinstance(info.shape[-1], int):
                return info.shape[-1]
        return None


def find_graph(folder: Path, model_file: str) -> Path | None:
    """Look for a graph in a folder.

    Args:
        folder: The model's folder.
        model_file: Where the description says it is; looked at first.

    Returns:
        The graph, or ``None``.
    """
    for name in (model_file, *GRAPH_LAYOUTS):
        path = folder / name
        if path.suffix == ".onnx" and path.is_file():
            return path
    return None


@contextmanager
def prepared_graph(folder: ModelFolder, model: GraphModel, store: StoreSettings) -> Iterator[GraphFile]:
    """Give a graph that may be loaded while the context lasts.

    Args:
        folder: The model's files.
        model: Its description.
        store: Where compiled graphs and links are kept.

    Yields:
        The graph file, inspected: nothing that could run code or read foreign files is in it.

    Raises:
        ModelNotFoundError: If the folder holds neither a graph nor weights.
    """
    found = find_graph(folder.path, model.model_file)
    if found is not None:
        facts = inspect_graph(found)
        if model.recipe is not None and model.recipe.head is GraphHead.VOCABULARY_MAXIMUM:
            found, facts = _reduced(found, facts, store)
        yield _describe(loadable_model_path(found, facts.external_data, store), facts, compiled=False)
        return
    weights = folder.path / WEIGHTS_FILE
    if not weights.is_file():
        tried = ", ".join(dict.fromkeys((model.model_file, *GRAPH_LAYOUTS, WEIGHTS_FILE)))
        raise ModelNotFoundError(f"{folder.path} holds no model: none of {tried} is there")
    if model.recipe is None:
        raise ModelNotFoundError(
            f"{folder.path} holds weights but no graph, and a model of this kind cannot be compiled from weights; "
            f"expected {model.model_file}"
        )
    with _compiled(folder.path, weights, model.recipe, store) as path:
        yield _describe(path, inspect_graph(path), compiled=True)


def _describe(path: Path, facts: GraphFacts, *, compiled: bool) -> GraphFile:
    return GraphFile(path, facts.inputs, facts.outputs, compiled, facts.dynamically_quantized)


@contextmanager
def _compiled(folder: Path, weights: Path, recipe: Recipe, store: StoreSettings) -> Iterator[Path]:
    """The compiled graph: kept in the cache, or made for this one load where nothing can be kept."""
    kept = own_folder(store) / "compiled" / _compiled_name(folder, weights, recipe) / "model.onnx"
    if kept.is_file():
        yield kept
        return
    import filelock

    from onnxembed.compile import compile_model

    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(kept.parent / ".lock"):
            if not kept.is_file():
                # Weights beside the graph are mapped; inside it they would be parsed and copied at every start.
                compile_model(folder, kept, head=recipe.head, pooling=recipe.pooling, single_file=False)
    except OSError as error:
        logger.warning(
            "the compiled graph of %s cannot be kept in %s (%s); it is made anew each time", folder, kept, error
        )
    else:
        yield kept
        return
    scratch = Path(tempfile.mkdtemp(prefix="onnxembed-"))
    try:
        compile_model(folder, scratch / "model.onnx", head=recipe.head, pooling=recipe.pooling, single_file=False)
        yield scratch / "model.onnx"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _reduced(graph: Path, facts: GraphFacts, store: StoreSettings) -> tuple[Path, GraphFacts]:
    """A copy of a graph that gives no logits but their maximum over the tokens, where such a copy can be kept.

    The graph itself serves, too, at the price of copying all logits out of ONNX Runtime. So it does when its weights
    lie beside it, which a copy elsewhere would not find.
    """
    logits = facts.outputs[0]
    if facts.external_data or len(logits.shape or ()) != 3 or "attention_mask" not in {i.name for i in facts.inputs}:
        return graph, facts
    kept = own_folder(store) / "compiled" / _name_of(graph, "maximum over tokens", b"") / "model.onnx"
    import filelock

    from onnxembed.compile.rewrite.reduce_logits import with_max_over_tokens

    try:
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(kept.parent / ".lock"):
                if not kept.is_file():
                    with_max_over_tokens(graph, kept, logits=logits.name, attention_mask="attention_mask")
    except (OSError, UnsupportedModelError) as error:
        logger.info("the logits of %s are reduced outside the graph (%s)", graph, error)
        return graph, facts
    return kept, inspect_graph(kept)


def _compiled_name(folder: Path, weights: Path, recipe: Recipe) -> str:
    """A name for what is compiled of these very files."""
    config = (folder / "config.json").read_bytes() if (folder / "config.json").is_file() else b""
    return _name_of(weights, repr(recipe), config)


def _name_of(source: Path, making: str, config: bytes) -> str:
    """A name for what is made of this very file."""
    status = source.stat()
    identity = f"{COMPILER_VERSION}\0{source.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{making}\0"
    return hashlib.sha256(identity.encode() + config).hexdigest()[:32]
