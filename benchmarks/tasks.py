"""One task in a process of its own, reported as one line of JSON; its results as arrays, to be compared.

Runs as a script in either library's interpreter, so it imports nothing of this project but the library it measures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Work = Callable[[Sequence[Any], dict[str, Any]], Iterable[Any]]


@dataclass(frozen=True)
class Task:
    """What an open model does.

    Attributes:
        all: Many inputs at once, with options of the library.
        single: One input as a user waits for it: a question, a picture, a question with ten documents.
    """

    all: Work
    single: Work


QUERY = "how does the standard library open, read and close a file"


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _torch(library: Any) -> bool:
    return str(library.__name__) == "sentence_transformers"


def _folder_of_torch(folder: str | None) -> str:
    """Where ``benchmarks.models`` keeps the same weights for PyTorch."""
    return str(Path(str(folder), "torch"))


def _open_bm25(library: Any, folder: str | None) -> Task:
    ours = library.__name__ == "onnxembed"
    chosen = {"compatible": True} if ours else {"specific_model_path": folder}
    model = library.SparseTextEmbedding("Qdrant/bm25", **chosen)
    return Task(lambda texts, options: model.embed(texts, **options), lambda texts, _: model.query_embed(texts))


def _open_sparse(name: str) -> Callable[[Any, str | None], Task]:
    def opened(library: Any, folder: str | None) -> Task:
        if _torch(library):
            encoder = library.SparseEncoder(_folder_of_torch(folder), device="cpu", local_files_only=True)
            return Task(
                lambda texts, options: encoder.encode_document(texts, **options),
                lambda texts, _: encoder.encode_query(texts),
            )
        model = library.SparseTextEmbedding(name, specific_model_path=folder)
        return Task(lambda texts, options: model.embed(texts, **options), lambda texts, _: model.query_embed(texts))

    return opened


def _open_cross_encoder(library: Any, folder: str | None) -> Task:
    if _torch(library):
        scorer = library.CrossEncoder(_folder_of_torch(folder), device="cpu", local_files_only=True)

        def scored(texts: Sequence[Any], options: dict[str, Any]) -> Any:
            return scorer.predict([(QUERY, text) for text in texts], show_progress_bar=False, **options)

        return Task(scored, lambda texts, options: scored(texts[0], options))
    if library.__name__ == "onnxembed":
        encoder = library.TextCrossEncoder
    else:
        encoder = import_module("fastembed.rerank.cross_encoder").TextCrossEncoder
    model = encoder("Xenova/ms-marco-MiniLM-L-6-v2", specific_model_path=folder)
    return Task(
        lambda texts, options: model.rerank(QUERY, texts, **options), lambda texts, _: model.rerank(QUERY, texts[0])
    )


def _open_colbert(side: str) -> Callable[[Any, str | None], Task]:
    def opened(library: Any, folder: str | None) -> Task:
        if _torch(library):
            encoder = library.MultiVectorEncoder(_folder_of_torch(folder), device="cpu", local_files_only=True)
            given = encoder.encode_query if side == "query" else encoder.encode_document
            return Task(lambda texts, options: given(texts, **options), lambda texts, _: encoder.encode_query(texts))
        model = library.LateInteractionTextEmbedding("colbert-ir/colbertv2.0", specific_model_path=folder)
        method = model.query_embed if side == "query" else model.embed
        return Task(lambda texts, options: method(texts, **options), lambda texts, _: model.query_embed(texts))

    return opened


def _open_muvera(library: Any, folder: str | None) -> Task:  # noqa: ARG001  # no model
    import numpy as np

    ours = library.__name__ == "onnxembed"
    muvera = (library if ours else import_module("fastembed.postprocess")).Muvera(128)

    def work(seeds: Sequence[Any], options: dict[str, Any]) -> Iterable[Any]:  # noqa: ARG001  # nothing to choose
        documents = [np.random.default_rng(int(seed)).normal(size=(200, 128)).astype(np.float32) for seed in seeds]
        started = time.perf_counter()
        results = list(muvera.process_documents(documents) if ours else map(muvera.process_document, documents))
        yield time.perf_counter() - started  # making the documents does not count
        yield from results

    return Task(work, work)


def _open_image(library: Any, folder: str | None) -> Task:
    model = library.ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=folder)
    return Task(lambda paths, options: model.embed(paths, **options), lambda paths, _: model.embed(paths))


def _open_preprocessing(library: Any, folder: str | None) -> Task:
    """Decode and transform alone, with as many threads as there are processors where the library has threads."""
    import numpy as np

    if library.__name__ == "onnxembed":
        from concurrent.futures import ThreadPoolExecutor
        from os import cpu_count

        loading = import_module("onnxembed.image.loading")
        processor = import_module("onnxembed.image.processor_config").read_processor(Path(str(folder)))
        limits = loading.ImageLimits()

        def work(paths: Sequence[Any], options: dict[str, Any]) -> Iterable[Any]:  # noqa: ARG001
            batch = np.empty((len(paths), 3, 224, 224), np.float32)
            with ThreadPoolExecutor(cpu_count()) as pool:
                list(
                    pool.map(
                        lambda n: processor.into(loading.load_image(paths[n], n, limits), batch[n]), range(len(paths))
                    )
                )
            return (picture.ravel() for picture in batch)

        return Task(work, work)
    image = import_module("PIL.Image")
    compose = import_module("fastembed.image.transform.operators").Compose
    transform = compose.from_config(json.loads(Path(str(folder), "preprocessor_config.json").read_text()))

    def theirs(paths: Sequence[Any], options: dict[str, Any]) -> Iterable[Any]:  # noqa: ARG001
        for start in range(0, len(paths), 16):
            yield from (
                picture.ravel() for picture in transform([image.open(path) for path in paths[start : start + 16]])
            )

    return Task(theirs, theirs)


OPENERS: Mapping[str, Callable[[Any, str | None], Task]] = {
    "bm25": _open_bm25,
    "splade": _open_sparse("prithivida/Splade_PP_en_v1"),
    "bm42": _open_sparse("Qdrant/bm42-all-minilm-l6-v2-attentions"),
    "rerank": _open_cross_encoder,
    "colbert-documents": _open_colbert("document"),
    "colbert-queries": _open_colbert("query"),
    "muvera": _open_muvera,
    "images": _open_image,
    "preprocessing": _open_preprocessing,
}


def _plain(result: Any) -> Any:
    """An array of one result; of a sparse vector its entries in the order of their ids, each as a row."""
    import numpy as np

    if hasattr(result, "indices"):
        order = np.argsort(result.indices)
        return np.stack([np.asarray(result.indices)[order], np.asarray(result.values)[order]], axis=1).astype(float)
    return np.atleast_2d(np.asarray(result, dtype=np.float64))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=OPENERS)
    parser.add_argument("--library", required=True)
    parser.add_argument("--folder")
    parser.add_argument("--inputs", required=True)
    parser.add_argument("--results", help="file for the results, to be compared")
    parser.add_argument("--options", default="{}")
    parser.add_argument("--singles", help="file of inputs that are given one by one")
    parser.add_argument("--warm-up", type=int, default=1)
    chosen = parser.parse_args(arguments)
    import numpy as np

    inputs = json.loads(Path(chosen.inputs).read_text(encoding="utf-8"))
    task = OPENERS[chosen.task](import_module(chosen.library.replace("-", "_")), chosen.folder)
    options = json.loads(chosen.options)
    list(task.all(inputs[: chosen.warm_up], {}))
    started = time.perf_counter()
    results = list(task.all(inputs, options))
    seconds = time.perf_counter() - started
    if chosen.task == "muvera":
        seconds = results.pop(0)
    peak = peak_bytes()
    singles = []
    for one in json.loads(Path(chosen.singles).read_text(encoding="utf-8")) if chosen.singles else []:
        started = time.perf_counter()
        list(task.single([one], {}))
        singles.append(time.perf_counter() - started)
    if chosen.results:
        rows = [_plain(result) for result in results]
        np.savez(chosen.results, values=np.concatenate(rows), lengths=[len(row) for row in rows])
    measured = {"seconds": seconds, "peak_bytes": peak, "items": len(inputs), "single_seconds": singles[1:]}
    print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
