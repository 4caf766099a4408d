"""Fill a cache with models, for machines without a network: all files that opening needs, and no others.

Each file is compared with the digest that the Hub publishes. A login is read from HF_TOKEN, or from where
huggingface_hub keeps it. The cache may be copied, with its links or without.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from onnxembed.care.download import DownloadedModel, download_model
from onnxembed.errors import ModelNotFoundError, OnnxEmbedError
from onnxembed.kinds import KINDS
from onnxembed.opening import M3_KIND
from onnxembed.runtime.precision import PRECISION_NAMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the models, where they are put, the choices among what they ship, and the form of the output."""
    parser.add_argument("names", nargs="+", metavar="MODEL", help="names of the catalogue, or Hub repositories")
    kinds = [*(kind.name for kind in KINDS), M3_KIND]
    parser.add_argument("--kind", choices=kinds, help="where the files fit several kinds")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where models are kept")
    parser.add_argument("--revision", help="branch, tag or commit of the repository")
    parser.add_argument("--variant", help="which graph, such as fp16 or int8")
    parser.add_argument("--model-file", metavar="FILE", help="which graph or weights, by the file's name")
    parser.add_argument("--precision", choices=PRECISION_NAMES, help="how the model is computed; fp32 by default")
    parser.add_argument(
        "--compile", action="store_true", help="open each model once, so that what is made of its weights is kept, too"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array of objects")


def run(arguments: argparse.Namespace) -> None:
    """Print a line for each model and how the cache is used, or JSON; failures are said at the end."""
    brought, failed = list[DownloadedModel](), list[tuple[str, OnnxEmbedError]]()
    for name in arguments.names:
        print(f"fetching {name} ...", file=sys.stderr)
        try:
            brought.append(
                download_model(
                    name,
                    arguments.kind,
                    cache_dir=arguments.cache_dir,
                    revision=arguments.revision,
                    variant=arguments.variant,
                    model_file=arguments.model_file,
                    precision=arguments.precision,
                    compiled=arguments.compile,
                )
            )
        except OnnxEmbedError as error:
            failed.append((name, error))
    if arguments.json:
        print(json.dumps([_plain(model) for model in brought], indent=2, ensure_ascii=False))
    elif brought:
        print("\n".join(_lines(brought)))
    if failed:
        raise ModelNotFoundError("; ".join(f"{name} was not fetched: {error}" for name, error in failed))


def _lines(brought: list[DownloadedModel]) -> list[str]:
    lines = []
    for model in brought:
        if model.folder is None:
            lines.append(f"{model.name}: {model.source}")
            continue
        lines.append(f"{model.name}: {len(model.files)} files, {model.size / 1e6:,.1f} MB, from {model.source}")
        if not model.in_cache:
            lines.append(f"  it lies outside the cache, in {model.folder}: install or copy that on the other machine")
    caches = {model.cache for model in brought if model.folder is not None and model.in_cache}
    lines += [f"in {cache}; without a network: cache_dir= a copy of it, and HF_HUB_OFFLINE=1" for cache in caches]
    return lines


def _plain(model: DownloadedModel) -> dict[str, Any]:
    return {
        "model": model.name,
        "model_class": model.model_class,
        "cache": str(model.cache),
        "folder": None if model.folder is None else str(model.folder),
        "source": model.source,
        "revision": model.revision,
        "bytes": model.size,
        "compiled": model.compiled,
        "in_cache": model.in_cache,
        "files": [{"name": file.name, "bytes": file.size} for file in model.files],
    }
