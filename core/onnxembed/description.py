"""`describe`: what a name or a folder stands for, and the file and key that say so; fetches nothing large."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from onnxembed.api.exported import exported_model
from onnxembed.api.find import chosen_files, named_folder, refuse_revision, stated_name, with_chosen_weights
from onnxembed.api.options import EngineOptions
from onnxembed.api.preference import FIGURES, preference
from onnxembed.api.repository import HubFiles, compiles, describe_repository, refusal_of, repository_files
from onnxembed.api.settings import store_settings
from onnxembed.errors import ModelNotFoundError
from onnxembed.formats.facts import Facts
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.bring import open_repository
from onnxembed.hub.choice import FULL, choose, shipped_graphs
from onnxembed.hub.exported import MANIFEST_FILE, manifest_of
from onnxembed.hub.files import FolderFiles, has_weights, inside, weights_names
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, OPTIONAL_FILES
from onnxembed.kinds import Kind, kind_named, kind_of
from onnxembed.metadata.stages import STAGES_FILE, read_stages
from onnxembed.spec import TOKENIZER_FILE, ModelSpec
from onnxembed.text.tokenizer_rules import stated_limit

if TYPE_CHECKING:
    from onnxembed.hub.files import Files
    from onnxembed.hub.token import HubToken

CATALOGUE = "the catalogue"
"""What `Fact.file` says of a fact that was known without a file."""
# What the keys of published files decide, by shell patterns.
_DECIDES = (
    ("pooling_mode*", "pooling"),
    ("prompts.*", "prompts"),
    ("default_prompt_name", "prompts"),
    ("query_prefix", "prompts"),
    ("document_prefix", "prompts"),
    ("max_seq_length", "limit"),
    ("model_max_length", "limit"),
    ("max_position_embeddings", "limit"),
    ("query_length", "limit"),
    ("document_length", "limit"),
    ("model_type", "architecture"),
    ("architectures", "architecture"),
    ("similarity_fn_name", "similarity"),
    ("*activation*", "activation"),
)
_PLAIN = {"name", "sources", "model_file", "additional_files", "description", "aliases", "license", "size_in_gb"}


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a file says of a model.

    Attributes:
        file: The file, relative to the model's folder, or `CATALOGUE`, or `FIGURES` of graphs and weights.
        key: The key, those that lead to it joined by dots.
        value: What stands there.
        decides: What it decides, such as ``pooling``; empty where it is part of the architecture, or decides more than
            one thing.
    """

    file: str
    key: str
    value: object
    decides: str = ""


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """A file that the model needs.

    Attributes:
        name: Relative to the model's folder.
        size: Bytes; ``None`` where nobody says.
        here: Whether it is on this machine.
    """

    name: str
    size: int | None
    here: bool


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What was found of a model.

    Attributes:
        name: The catalogue's name, the folder, or the repository.
        found_in: ``catalogue``, ``folder`` or ``repository``.
        revision: The commit, of a repository.
        kind: What `open_model` calls it.
        model_class: The class that opens it.
        architecture: ``model_type`` and class of ``config.json``; empty where it does not say.
        made_from: ``graph``, ``weights`` that are compiled, a static ``table``, an ``export``, or ``nothing``.
        variant: What the name of the graph says of its precision, or the export; ``fp32`` for full precision.
        variants: The graphs that could be chosen instead, by ``model_file=``.
        stages: The stages of ``modules.json`` in their order.
        limit: Tokens of a text; ``None`` where no file says.
        settings: The fields of the kind's description, as plain data: dimension, pooling, prompts and so on.
        files: What has to be there, small files first.
        facts: What was read, file by file.
    """

    name: str
    found_in: str
    revision: str | None
    kind: str
    model_class: str
    architecture: str
    made_from: str
    variant: str
    variants: tuple[str, ...]
    stages: tuple[str, ...]
    limit: int | None
    settings: dict[str, object]
    files: tuple[DescribedFile, ...]
    facts: tuple[Fact, ...]

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes of the files that are not here, as far as their sizes are known."""
        return sum(file.size or 0 for file in self.files if not file.here)

    def as_dict(self) -> dict[str, object]:
        """Give it as plain data that JSON can hold."""
        plain: dict[str, object] = _plain(asdict(self))
        return plain | {"bytes_to_fetch": self.bytes_to_fetch}


def describe(
    model_name: str | os.PathLike[str],
    kind: str | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    accept_unknown: Sequence[str] = (),
    revision: str | None = None,
    token: HubToken | str | bool | None = None,
    model_file: str | None = None,
    variant: str | None = None,
) -> ModelDescription:
    """Say what a name or a folder stands for. Fetches nothing but a list of files and small JSON files.

    Args:
        model_name: A name of the catalogue, a folder, or a Hub repository.
        kind: One that `open_model` takes.
        cache_dir: This and the following arguments are those of the model classes.
        local_files_only: As there.
        accept_unknown: As there.
        revision: As there.
        token: As there.
        model_file: As there.
        variant: As there.

    Returns:
        The description. Of a graph that is not here yet, what only the graph says remains open.

    Raises:
        UnknownModelError: There is no such model.
        ModelNotFoundError: A folder is not there, or a repository cannot be read.
        UnsupportedModelError: The model cannot be used; the message says why.
        InputError: Several kinds fit and ``kind`` does not choose.
    """
    options = EngineOptions(
        model_name,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        accept_unknown=accept_unknown,
        revision=revision,
        token=token,
        model_file=model_file,
        variant=variant,
    )
    chosen = kind_of(options) if kind is None else kind_named(kind)
    name = stated_name(model_name)
    if chosen.registry.holds(name):
        return _of_the_catalogue(chosen, chosen.registry.find(name), options)
    folder = named_folder(model_name)
    if folder is not None:
        refuse_revision(options, folder)
        exported = exported_model(folder, chosen.registry, options)
        if exported is not None:
            return _exported(_described(chosen, exported, FolderFiles(folder), found_in="folder"), folder)
        files = chosen_files(FolderFiles(folder), options, chosen.registry.kind)
        why = _why(files, chosen, options)
        model = with_chosen_weights(chosen.describe(files), files)
        return _described(chosen, model, files, found_in="folder", facts=why)
    listed = repository_files(name, options, chosen.registry)
    model, why = describe_repository(listed, options, chosen.describe), _why(listed, chosen, options)
    return _described(chosen, model, listed, found_in="repository", facts=why)


def _why(files: Files, kind: Kind, options: EngineOptions) -> list[Fact]:
    """Why the graph is used, or the weights, where there are both and nobody asked for one of them."""
    if options.model_file is not None or options.variant is not None:
        return []
    graph = files.chosen
    if graph is None or not graph.endswith(".onnx"):
        graph = next((name for name in GRAPH_LAYOUTS if files.has(name)), None)
    found = None if graph is None else preference(files, graph, kind.registry.kind, lambda: compiles(files))
    return [] if found is None else [Fact(FIGURES, "graph or weights", found.why, "made_from")]


def _exported(described: ModelDescription, folder: Path) -> ModelDescription:
    """What an exported folder says of its graph; the description of the others tells of the model."""
    said = manifest_of(folder)
    if said is None:
        return described
    facts = [
        Fact(MANIFEST_FILE, key, getattr(said, key))
        for key in ("name", "source", "precision", "fingerprint", "versions")
    ]
    facts += [Fact(MANIFEST_FILE, f"options.{name}", value) for name, value in said.options.items()]
    return replace(
        described,
        made_from="export",
        variant=said.precision,
        variants=(),
        limit=said.options.get("max_length", described.limit),
        facts=(*facts, *described.facts),
    )


def _of_the_catalogue(kind: Kind, model: ModelSpec, options: EngineOptions) -> ModelDescription:
    """A row says all that the model is; the repository only which files there are."""
    repository = next((source.hf for source in model.sources if source.hf is not None), None)
    facts = [Fact(CATALOGUE, key, value, key) for key, value in _settings(model).items() if value]
    try:
        if repository is None:
            raise ModelNotFoundError(f"{model.name} is in no repository")
        files: Files = open_repository(repository, store_settings(None, options))
        return _described(kind, _with_choice(model, files, options), files, found_in="catalogue", facts=facts)
    except ModelNotFoundError:
        if options.model_file is not None or options.variant is not None:
            raise
        return _described(kind, model, None, found_in="catalogue", facts=facts)


def _with_choice(model: ModelSpec, files: Files, options: EngineOptions) -> ModelSpec:
    if options.model_file is None and options.variant is None:
        return model
    chosen = choose(files, model.graph_stems, model_file=options.model_file, variant=options.variant)
    return model if chosen is None else replace(model, model_file=chosen)


def _described(
    kind: Kind, model: ModelSpec, files: Files | None, *, found_in: str, facts: Sequence[Fact] = ()
) -> ModelDescription:
    made_from = _made_from(model, files)
    graphs = () if files is None else shipped_graphs(files)
    variant = next((graph.variant for graph in graphs if graph.name == model.model_file), FULL)
    limit = None if files is None else _limit(model, files)
    stages = () if files is None or found_in == "catalogue" else read_stages(files)
    config = {} if files is None else files.json_object(inside(model.body_folder, CONFIG_FILE))
    named = config.get("architectures")
    return ModelDescription(
        name=model.name,
        found_in=found_in,
        revision=files.commit if isinstance(files, HubFiles) else None,
        kind=kind.name,
        model_class=kind.model_class,
        architecture=" ".join(
            filter(None, [str(config.get("model_type") or ""), *(map(str, named) if isinstance(named, list) else ())])
        ),
        made_from=made_from,
        variant=variant if made_from == "graph" else FULL,
        variants=tuple(graph.name for graph in graphs if graph.name != model.model_file),
        stages=tuple(f"{stage.kind} ({stage.path})" if stage.path else stage.kind for stage in stages),
        limit=None if limit is None else limit[0],
        settings=_settings(model),
        files=_needed(model, files, [stage.file(WEIGHTS_FILE) for stage in stages if stage.path]),
        facts=tuple(facts) if found_in == "catalogue" else (*_facts(model, files, made_from), *facts),
    )


def _made_from(model: ModelSpec, files: Files | None) -> str:
    if not model.needs_files:
        return "nothing"
    if getattr(model, "static", False):
        return "table"
    weights = files is not None and model.model_file in weights_names(files, model.body_folder)
    absent = files is not None and not files.has(model.model_file) and has_weights(files, model.body_folder)
    return "weights" if weights or absent else "graph"


def _needed(model: ModelSpec, files: Files | None, weights_of_stages: Sequence[str]) -> tuple[DescribedFile, ...]:
    """The files, small ones first; those in which a graph keeps its weights by their usual names."""
    if not model.needs_files:
        return ()
    names = dict.fromkeys((model.model_file, *model.additional_files, model.companion_file))
    if isinstance(files, FolderFiles) and (exported := manifest_of(files.folder)) is not None:
        listed = (name for name in (MANIFEST_FILE, *exported.files) if files.has(name))
        return _sorted([DescribedFile(name, files.size(name), here=True) for name in listed])
    if files is None:
        return tuple(DescribedFile(name, None, here=False) for name in names)
    if not files.has(model.model_file):
        del names[model.model_file]
        names |= dict.fromkeys(weights_names(files, model.body_folder))
    names |= dict.fromkeys(name for name in OPTIONAL_FILES if files.has(name))
    names |= dict.fromkeys(files.read_names)
    names |= dict.fromkeys(name for name in weights_of_stages if files.has(name))
    names |= dict.fromkeys(name for name in files.names() if _is_data_of(name, model.model_file))
    found = [DescribedFile(name, files.size(name), files.is_here(name)) for name in names if files.has(name)]
    return _sorted(found)


def _sorted(files: Sequence[DescribedFile]) -> tuple[DescribedFile, ...]:
    return tuple(sorted(files, key=lambda file: (file.size or 0, file.name)))


def _is_data_of(name: str, graph: str) -> bool:
    return graph.endswith(".onnx") and name.startswith((f"{graph}_data", f"{graph}.data"))


def _facts(model: ModelSpec, files: Files | None, made_from: str) -> list[Fact]:
    """What was read, file by file: the stages, the keys that were taken, and where the limit stands."""
    if files is None:
        return []
    facts = [
        Fact(STAGES_FILE, f"{number}.type", f"{stage.kind} ({stage.path})" if stage.path else stage.kind, "stages")
        for number, stage in enumerate(read_stages(files))
    ]
    taken = {name: read.taken() for name, read in files.all_facts.items()}
    config_file = inside(model.body_folder, CONFIG_FILE)
    if made_from == "weights":
        config = Facts(files.json_object(config_file), files.label(config_file))
        refused = refusal_of(files, model.recipe, config)
        if refused is not None:
            raise refused  # as opening would
        taken[config_file] = taken.get(config_file, {}) | config.taken()
    else:
        shown = {key: files.json_object(config_file).get(key) for key in ("model_type", "architectures")}
        taken[config_file] = {key: value for key, value in shown.items() if value} | taken.get(config_file, {})
    limit = _limit(model, files)
    if limit is not None and not any(_decides(key) == "limit" for key in taken.get(limit[1], ())):
        facts.append(Fact(limit[1], "limit of tokens", limit[0], "limit"))
    facts += [Fact(name, key, value, _decides(key)) for name in sorted(taken) for key, value in taken[name].items()]
    return facts


def _limit(model: ModelSpec, files: Files) -> tuple[int, str] | None:
    """The token limit and its file; ``None`` where texts are not read, or no file states one."""
    if not model.companion_file.endswith(TOKENIZER_FILE):
        return None
    return stated_limit(files, model.tokenizer, model.body_folder)


def _decides(key: str) -> str:
    return next((what for pattern, what in _DECIDES if fnmatchcase(key, pattern)), "")


def _settings(model: ModelSpec) -> dict[str, object]:
    return {one.name: _plain(getattr(model, one.name)) for one in fields(model) if one.name not in _PLAIN}


def _plain(value: Any) -> Any:
    """Plain data: names for members of enumerations, lists for tuples, dictionaries for descriptions."""
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "__dataclass_fields__"):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.as_posix() if isinstance(value, PurePosixPath) else value
