"""Which model a command uses, and how it runs: declared once, for every command that opens one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

M3 = "m3"
"""The name here of the kind that gives three results in one pass; elsewhere it has none."""


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the model itself."""
    parser.add_argument("name", metavar="MODEL", help="a name of the catalogue, a folder, or a Hub repository")


def add_source(parser: argparse.ArgumentParser) -> None:
    """Declare which of a model's files are meant, and where they come from."""
    group = parser.add_argument_group("the model's files")
    group.add_argument("--revision", help="branch, tag or commit of the repository")
    group.add_argument("--variant", help="which graph, such as fp16 or int8")
    group.add_argument("--model-file", metavar="FILE", help="which graph or weights, by the file's name")
    add_places(group)


def add_places(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Declare where models are kept, and whether requests are made."""
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where models are kept")
    parser.add_argument("--offline", action="store_true", help="make no request")


def add_model_path(parser: argparse.ArgumentParser) -> None:
    """Declare a folder for a model that is named by the catalogue."""
    parser.add_argument(
        "--model-path", metavar="FOLDER", help="a folder with the files of MODEL; no other is looked at"
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """Declare what changes how fast a model runs, and no result."""
    group = parser.add_argument_group("how it runs")
    group.add_argument("--batch-size", type=int, metavar="N", help="most items in a batch")
    group.add_argument("--threads", type=int, metavar="N", help="processors that one batch uses; all by default")
    group.add_argument("--workers", type=int, metavar="N", help="batches run at once; 0 for one per processor")
    group.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, or cuda:1 for one by its number")
    group.add_argument("--quiet", action="store_true", help="show no progress")


def add_computing(parser: argparse.ArgumentParser, kinds: Sequence[str]) -> None:
    """Declare what changes the results of a model."""
    group = parser.add_argument_group("what is computed")
    group.add_argument("--kind", choices=kinds, help="where the files fit several kinds")
    group.add_argument("--precision", metavar="NAME", help="how the model is computed: fp32, int8, auto and so on")
    group.add_argument("--max-length", type=int, metavar="N", help="tokens that a text is cut to")
    if M3 in kinds:
        group.add_argument("--dim", type=int, metavar="N", help="numbers to keep of each vector (Matryoshka)")


def kinds_of_vectors() -> list[str]:
    """The kinds that `embed` can use, as ``--kind`` calls them."""
    from onnxembed.kinds import KINDS

    return [*(kind.name for kind in KINDS if kind.name != "rerank"), M3]


def source_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read `add_source` into options of a model, those that were not given left out."""
    return {
        option: getattr(arguments, option)
        for option in ("revision", "variant", "model_file")
        if getattr(arguments, option, None) is not None
    }


def computing_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read `add_computing`, likewise; the kind is apart."""
    return {
        option: getattr(arguments, option)
        for option in ("precision", "max_length", "dim")
        if getattr(arguments, option, None) is not None
    }


def running_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the places and `add_running` into options of a model's constructor."""
    found: dict[str, Any] = {
        "cache_dir": arguments.cache_dir,
        "local_files_only": arguments.offline,
        "show_progress": shows_progress(arguments),
    }
    if getattr(arguments, "model_path", None) is not None:
        found["specific_model_path"] = arguments.model_path
    if arguments.threads is not None:
        found["threads"] = arguments.threads
    if arguments.device is not None:
        found["cuda"] = arguments.device
    return found


def limits_of(arguments: argparse.Namespace) -> dict[str, int]:
    """Read `add_running` into arguments of a call, those that were not given left out."""
    given = {"batch_size": arguments.batch_size, "parallel": arguments.workers}
    return {name: value for name, value in given.items() if value is not None}


def shows_progress(arguments: argparse.Namespace) -> bool:
    """Whether progress is shown: on a terminal, and where it was not switched off."""
    return not getattr(arguments, "quiet", False) and sys.stderr.isatty()


def lasting_name(name: str) -> str:
    """Give the name of a model that holds from any folder: where it is itself a folder, the whole path."""
    from pathlib import Path

    from onnxembed.kinds import KINDS

    known = any(kind.registry.holds(name) for kind in KINDS)
    return name if known or not Path(name).is_dir() else str(Path(name).absolute())


def opened(name: str, kind: str | None, options: dict[str, Any]) -> tuple[str, Any]:
    """Open a model; its files are brought and its weights loaded when it is used.

    Args:
        name: A name of the catalogue, a folder, or a Hub repository.
        kind: Its kind, or ``None`` for what the name or the files say.
        options: Options of the constructor.

    Returns:
        The name of its kind, and the object.

    Raises:
        InputError: If its kind does not have one of the options.
        OnnxEmbedError: As the class raises it.
    """
    from dataclasses import fields

    import onnxembed
    from onnxembed.api.options import EngineOptions
    from onnxembed.errors import InputError
    from onnxembed.kinds import kind_named, kind_of

    if kind == M3:
        found, model_class = M3, onnxembed.M3Embedding
    else:
        of_all = {declared.name for declared in fields(EngineOptions)}
        given = {option: value for option, value in options.items() if option in of_all}
        chosen = kind_of(EngineOptions(name, **given)) if kind is None else kind_named(kind)
        found, model_class = chosen.name, getattr(onnxembed, chosen.model_class)
    import inspect

    for option in options:
        if option not in inspect.signature(model_class).parameters:
            raise InputError(f"--{option.replace('_', '-')}: {found} models have no such option; leave it out")
    return found, model_class(name, lazy_load=True, **options)
