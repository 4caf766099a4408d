"""The description of a dense text model, read from its own files.

sentence-transformers writes the stages (``modules.json``, and a configuration in the folder of each) and the prompts
(``config_sentence_transformers.json``); model2vec writes that it is static (``config.json``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from onnxembed.errors import UnsupportedModelError
from onnxembed.hub.files import Files, graph_name, weights_names
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.metadata.finish import finish
from onnxembed.metadata.harmless import MODEL2VEC_KEYS
from onnxembed.metadata.prompts import SETTINGS_FILE, read_prompts
from onnxembed.metadata.stages import Stage, read_stages, require_known
from onnxembed.spec import PoolingType
from onnxembed.text.layout import architectures, is_text_model
from onnxembed.text.pipeline import KNOWN_STAGES, describe_pipeline, is_model2vec
from onnxembed.text.routes import ROUTERS, read_routes
from onnxembed.text.spec import DenseModel, Matryoshka
from onnxembed.text.tasks import prompts_of, with_known_stage
from onnxembed.text.vector_stage import NORMALIZE

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts

_SIMILARITIES = frozenset({"cosine", "dot", "euclidean", "manhattan"})


def matches(files: Files) -> bool:
    """Tell whether the files could be those of a dense model: a text encoder whose stages are known here.

    Architectures with a head are not, but masked-language models: many encoders are published as such.
    """
    stages = with_known_stage(read_stages(files), files.facts(CONFIG_FILE))
    if stages:
        return {stage.kind for stage in stages} <= KNOWN_STAGES | ROUTERS and not _is_of_another_kind(files)
    if not is_text_model(files):
        return False
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    facts = None if graph is None else files.graph(graph)
    if facts is not None and all(value.name != "input_ids" for value in facts.inputs):
        return False
    named = architectures(files)
    return not named or any("For" not in name or name.endswith("ForMaskedLM") for name in named)


def _is_of_another_kind(files: Files) -> bool:
    """Whether sentence-transformers says that the model is none that gives one vector per text."""
    return files.json_object(SETTINGS_FILE).get("model_type") not in (None, "SentenceTransformer")


def describe(files: Files, pooling: PoolingType | None = None) -> DenseModel:
    """Describe the model that some files are of.

    Stages that are not known here are refused as an `UnsupportedModelError`, as is a key of the metadata that nobody
    reads; a stage that is said to lie outside the folder is an `UnsafeModelError`.

    Args:
        files: The files.
        pooling: How token vectors become one; ``None`` for what the files say.

    Returns:
        The description. Any Matryoshka length is allowed, since nothing is known of it. Of a graph that is not here
        yet, the length of its vectors and a pooling of its own remain open.

    Raises:
        ModelNotFoundError: If there is neither a graph nor weights, or no tokenizer.
    """
    stages = with_known_stage(read_stages(files), files.facts(CONFIG_FILE))
    require_known(files, stages, KNOWN_STAGES | ROUTERS)
    ways = {"": stages}
    if any(stage.kind in ROUTERS for stage in stages):
        ways = read_routes(files, stages)
    models = {task: describe_pipeline(files, way, pooling) for task, way in ways.items()}
    usual = models.get("") or next(iter(models.values()))
    model = _with_settings(usual, files.facts(SETTINGS_FILE))
    if set(models) != {""} and (len(set(models.values())) > 1 or "" not in models):
        tasks = {task: way for task, way in models.items() if task}
        model = _routed(files, model, tasks, default="" in models)
    _finish(files, stages, models.values())
    return model


def _with_settings(model: DenseModel, settings: Facts) -> DenseModel:
    """Add what is said of the model as a whole."""
    settings.expect("model_type", ("SentenceTransformer",), "SentenceTransformer")
    prompts = read_prompts(settings)
    similarity = settings.text("similarity_fn_name", "")
    settings.expect("similarity_fn_name", (*sorted(_SIMILARITIES),), "cosine")
    cut = settings.optional_whole("truncate_dim")
    return replace(
        _cut(model, cut),
        prompts=prompts_of(model, prompts),
        named_prompts=prompts.by_name,
        default_prompt=prompts.default,
        similarity=similarity,
        matryoshka=Matryoshka(),
        description="described by the files of its folder",
    )


def _cut(model: DenseModel, dim: int | None) -> DenseModel:
    """Cut the vectors as the files say: the library does not scale again what it has scaled and cut."""
    if dim is None:
        return model
    stages = (*model.stages, NORMALIZE) if model.normalize else model.stages
    return replace(model, stages=stages, normalize=False, truncate_dim=dim, dim=min(dim, model.dim))


def _routed(files: Files, model: DenseModel, ways: Mapping[str, DenseModel], *, default: bool) -> DenseModel:
    """Add the ways of queries and documents; ``default`` says whether there is one for texts of neither type."""
    shared: dict[str, Any] = {
        "matryoshka": model.matryoshka,
        "prompts": model.prompts,
        "named_prompts": model.named_prompts,
        "truncate_dim": model.truncate_dim,
    }
    routes = tuple((task, replace(_cut(way, model.truncate_dim), **shared)) for task, way in ways.items())
    widths = {way.dim for _, way in (("", model), *routes) if way.dim}
    if len(widths) > 1:
        given = " and ".join(map(str, sorted(widths)))
        raise UnsupportedModelError(
            f"{files.where}: the ways through the model give vectors of {given} numbers, which cannot be compared"
        )
    further = {file for _, way in routes for file in _files_of(files, way)}
    named = (*model.additional_files, *sorted(further - {*model.additional_files, model.model_file}))
    return replace(model, routes=routes, needs_input_type=not default, additional_files=named)


def _files_of(files: Files, model: DenseModel) -> tuple[str, ...]:
    """The large files that a way through a repository needs: its graph, or the weights where it has none."""
    weights = weights_names(files, model.body_folder)
    bodies = (model.model_file,) if files.has(model.model_file) else weights
    return (*bodies, model.companion_file, *model.additional_files)


def _finish(files: Files, stages: tuple[Stage, ...], models: Collection[DenseModel]) -> None:
    """Refuse what nobody read; the configuration of a table is read whole, that of a transformer by the compiler."""
    tables = {model.body_folder for model in models if model.static}
    for table in tables:
        facts = files.facts(PurePosixPath(table, CONFIG_FILE).as_posix())
        if is_model2vec(facts):  # sentence-transformers does not read it
            facts.finish(MODEL2VEC_KEYS, files.accept_unknown)
    finish(files, stages, {model.body_folder for model in models} - tables, tables)
