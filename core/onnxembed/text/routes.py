"""Models that read queries and documents by ways of their own: the Router of sentence-transformers, once called Asym.

A router may be the whole pipeline or one of its stages; each way is described as the stages from the first to the last.
"""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.hub.folder import CONFIG_FILE
from onnxembed.metadata.stages import Stage, make_stage

if TYPE_CHECKING:
    from onnxembed.hub.files import Files

ROUTERS = frozenset({"Router", "Asym"})
_ROUTER_FILE = "router_config.json"
_MODALITY = "text"
_TASKS = ("query", "document")


def read_routes(files: Files, stages: tuple[Stage, ...]) -> dict[str, tuple[Stage, ...]]:
    """Read the ways through stages of which one is a router; a second router is an `UnsupportedModelError`.

    Args:
        files: The files.
        stages: The stages.

    Returns:
        The stages of each way, by what is asked for: ``"query"``, ``"document"``, and ``""`` for neither. What is not
        there leads nowhere.
    """
    routers = [number for number, stage in enumerate(stages) if stage.kind in ROUTERS]
    if len(routers) > 1:
        raise UnsupportedModelError(f"{stages[routers[1]].entry.where}: a second router; one is known here")
    before, router, after = stages[: routers[0]], stages[routers[0]], stages[routers[0] + 1 :]
    names = [router.file(name) for name in (_ROUTER_FILE, CONFIG_FILE)]
    config = files.facts(next((name for name in names if files.has(name)), names[0]))
    branches = _branches(config, router)
    chosen = {"": _route(config, branches, None), **{task: _route(config, branches, task) for task in _TASKS}}
    _ = [config.section("parameters").value(key) for key in ("default_route", "allow_empty_key", "route_mappings")]
    return {task: (*before, *branches[name], *after) for task, name in chosen.items() if name is not None}


def _branches(config: Facts, router: Stage) -> dict[str, tuple[Stage, ...]]:
    types, structure = config.section("types"), config.section("structure")
    made = {name: _stage(router, name, types.text(name), config) for name in types.keys()}  # noqa: SIM118
    branches = {}
    for name in structure.keys():  # noqa: SIM118  # it is no mapping
        listed = structure.texts(name)
        missing = [stage for stage in listed if stage not in made]
        if missing or not listed:
            raise config.wrong(f"structure.{name}", list(listed), f"names among {', '.join(made)}")
        branches[name] = tuple(made[stage] for stage in listed)
    if not branches:
        raise config.wrong("structure", {}, "the stages of each way")
    unused = set(made) - {stage for name in branches for stage in structure.texts(name)}
    if unused:
        raise config.wrong(f"types.{min(unused)}", types.value(min(unused)), "a stage of one of the ways")
    return branches


def _stage(router: Stage, name: str, kind: str, config: Facts) -> Stage:
    entry = Facts({"type": kind, "path": name}, config.where)
    return make_stage(entry.text("type"), PurePosixPath(router.path, entry.text("path")).as_posix(), entry)


def _route(config: Facts, branches: dict[str, tuple[Stage, ...]], task: str | None) -> str | None:
    """The way of a text, as sentence-transformers finds it; ``None`` where it finds none."""
    parameters = config.section("parameters")
    mapped = _mappings(parameters)
    for key in ((task, _MODALITY), (task, None), (None, _MODALITY), (None, None)):
        if key in mapped:
            return _there(config, branches, mapped[key])
    for name in (task, _MODALITY):
        if name in branches:
            return name
    if task is not None:
        return None
    default = parameters.text("default_route", "")
    if not default and parameters.flag("allow_empty_key", True):
        return next(iter(branches))
    return _there(config, branches, default) if default else None


def _there(config: Facts, branches: dict[str, tuple[Stage, ...]], name: str) -> str:
    if name not in branches:
        raise config.wrong("parameters", name, f"a way among {', '.join(branches)}")
    return name


def _mappings(parameters: Facts) -> dict[tuple[object, object], str]:
    """What texts lead to which way; the keys are pairs of a task and a modality, written as Python does."""
    section = parameters.section("route_mappings")
    mapped: dict[tuple[object, object], str] = {}
    for key in section.keys():  # noqa: SIM118  # it is no mapping
        try:
            task, modality = ast.literal_eval(key)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise section.wrong(key, section.value(key), "a pair of a task and a modality as key") from None
        mapped[task, modality if isinstance(modality, str | None) else str(modality)] = section.text(key)
    return mapped
