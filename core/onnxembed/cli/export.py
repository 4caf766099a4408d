"""Write a model into one folder that starts without Hub code, without a cache, and without being written to.

The folder's path opens the model, and gives the same vectors and the same fingerprint.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.exported import manifest_of
from onnxembed.kinds import KINDS
from onnxembed.opening import M3_KIND, export_model
from onnxembed.runtime.precision import PRECISION_NAMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the folder, the choices among what it ships, and the form of the output."""
    parser.add_argument("name", metavar="MODEL", help="a name of the catalogue, a folder, or a Hub repository")
    parser.add_argument("folder", metavar="FOLDER", help="a folder that is not there yet, or an empty one")
    kinds = [*(kind.name for kind in KINDS), M3_KIND]
    parser.add_argument("--kind", choices=kinds, help="where the files fit several kinds")
    parser.add_argument("--precision", choices=PRECISION_NAMES, help="how the model is computed; fp32 by default")
    parser.add_argument("--revision", help="branch, tag or commit of the repository")
    parser.add_argument("--variant", help="which graph, such as fp16 or int8")
    parser.add_argument("--model-file", metavar="FILE", help="which graph or weights, by the file's name")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where models are kept")
    parser.add_argument("--offline", action="store_true", help="make no request")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(arguments: argparse.Namespace) -> None:
    """Print the folder, its size, and how it opens; or JSON."""
    print(f"exporting {arguments.name} ...", file=sys.stderr)
    folder = export_model(
        arguments.name,
        arguments.folder,
        arguments.kind,
        precision=arguments.precision,
        model_file=arguments.model_file,
        variant=arguments.variant,
        revision=arguments.revision,
        cache_dir=arguments.cache_dir,
        local_files_only=arguments.offline,
    )
    print(_shown(folder, arguments.kind == M3_KIND, as_json=arguments.json))


def _shown(folder: Path, three: bool, *, as_json: bool) -> str:
    manifest = manifest_of(folder)
    if manifest is None:  # another program has taken it away
        raise ModelNotFoundError(f"{folder} is there no more")
    size = sum(number for _, number in manifest.files.values())
    model_class = "M3Embedding" if three else manifest.model_class
    if as_json:
        facts = {
            "folder": os.fspath(folder),
            "model_class": model_class,
            "precision": manifest.precision,
            "fingerprint": manifest.fingerprint,
            "bytes": size,
            "files": {name: {"bytes": number, "sha256": digest} for name, (digest, number) in manifest.files.items()},
            "versions": dict(manifest.versions),
        }
        return json.dumps(facts, indent=2, ensure_ascii=False)
    return (
        f"{folder}: {len(manifest.files)} files, {size / 1e6:,.1f} MB, {manifest.precision}\n"
        f'open it with {model_class}("{folder}")'
    )
