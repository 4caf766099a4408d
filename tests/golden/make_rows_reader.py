"""Makes the rows of what sentence-transformers writes around a transformer: poolings, stages, prompts, limits, ways.

Run as ``python -m tests.golden.make_rows_reader``, with PyTorch and sentence-transformers installed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
import torch
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling, StaticEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel, BertTokenizer

from tests.fixtures.dense_tokenizers import VOCABULARY
from tests.fixtures.model_rows import TEXTS, jittered
from tests.golden.row_maker import make_row

_LIBRARY = f"sentence-transformers {sentence_transformers.__version__}"
_WIDTH = 32
_PROMPTS = {"query": "query: ", "document": "the text: ", "clustering": "cluster the fox: "}
_ALL = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")

Edit = Callable[[Path], None]
Stages = list[Any]


@cache
def _bodies() -> Path:
    return Path(tempfile.mkdtemp())


def _body(layers: int = 2, *, lower_case: bool = True) -> Transformer:
    """Make a small BERT; one of those with as many layers."""
    folder = _bodies() / f"{layers}{lower_case}"
    if not folder.exists():
        tokens = {token: number for number, token in enumerate(VOCABULARY)}
        config = BertConfig(
            vocab_size=len(tokens),
            hidden_size=_WIDTH,
            intermediate_size=48,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=140,
        )
        BertModel(config).save_pretrained(folder)
        BertTokenizer(vocab=tokens, model_max_length=128, do_lower_case=lower_case).save_pretrained(folder)
    return Transformer(str(folder), model_kwargs={"dtype": torch.float32})


def _words() -> Tokenizer:
    tokens = {token: number for number, token in enumerate(VOCABULARY)}
    built = Tokenizer(models.WordPiece(tokens, unk_token="[UNK]"))
    built.normalizer = normalizers.BertNormalizer()
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return built


def _table() -> StaticEmbedding:
    return StaticEmbedding(_words(), embedding_dim=_WIDTH)


def _pooled(*poolings: str, layers: int = 2, include_prompt: bool = True) -> Stages:
    chosen = poolings[0] if len(poolings) == 1 else poolings
    return [_body(layers), Pooling(_WIDTH, chosen, include_prompt=include_prompt)]


def _dense(inputs: int, outputs: int, activation: Any = None, **chosen: Any) -> Dense:
    return Dense(inputs, outputs, activation_function=activation or torch.nn.Tanh(), **chosen)


def _edit(name: str, change: Callable[[Any], Any]) -> Edit:
    """Give an edit of one JSON file."""

    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return edit


def _old_names(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry | {"type": f"sentence_transformers.models.{entry['type'].rsplit('.')[-1]}"} for entry in entries]


def _old_flags(config: dict[str, Any]) -> dict[str, Any]:
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    chosen = {f"pooling_mode_{name}": name in ("max_tokens", "cls_token") for name in names}
    return {"word_embedding_dimension": config["embedding_dimension"], **chosen, "include_prompt": True}


def _into_folder(folder: Path) -> None:
    """Put the transformer where version 1 had it, into a folder of its own."""
    target = folder / "0_Transformer"
    target.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json", "README.md"):
            path.rename(target / path.name)
    _edit("modules.json", lambda entries: [entries[0] | {"path": "0_Transformer"}, *entries[1:]])(folder)


def _as_asym(folder: Path) -> None:
    """Write a router as it was when it was called Asym."""
    router = folder / "2_Router"
    content = json.loads((router / "router_config.json").read_text())
    content["types"] = dict.fromkeys(content["types"], "sentence_transformers.models.Dense")
    content["parameters"] = {"allow_empty_key": True}
    (router / "config.json").write_text(json.dumps(content))
    (router / "router_config.json").unlink()
    asym = {"type": "sentence_transformers.models.Asym"}
    _edit("modules.json", lambda listed: [*_old_names(listed[:2]), listed[2] | asym])(folder)


def _compute(folder: Path) -> dict[str, Any]:
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    values = {"documents": model.encode(list(TEXTS))}
    for name, vectors in (
        ("queries", model.encode_query(list(TEXTS))),
        ("passages", model.encode_document(list(TEXTS))),
    ):
        if not np.array_equal(vectors, values["documents"]):
            values[name] = vectors
    for name in model.prompts:
        if name not in ("query", "document"):
            values[f"prompt {name}"] = model.encode(list(TEXTS), prompt_name=name)
    return values


def _row(name: str, head: str, stages: Stages, *edits: Edit, family: str = "bert", **chosen: Any) -> None:
    folder = Path(tempfile.mkdtemp()) / "model"
    SentenceTransformer(modules=stages, device="cpu", **chosen).save(str(folder), create_model_card=False)
    for edit in edits:
        edit(folder)
    make_row(f"reader-{name}", folder, _compute, architecture=family, head=head, kind="dense", library=_LIBRARY)
    shutil.rmtree(folder.parent)


def _poolings() -> None:
    for pooling in _ALL:
        _row(f"pooling-{pooling}", f"{pooling} pooling", _pooled(pooling))
    _row("poolings-all", "six poolings joined", _pooled(*_ALL))
    _row(
        "poolings-old",
        "cls and max pooling joined",
        _pooled("mean"),
        _edit("1_Pooling/config.json", _old_flags),
        _edit("modules.json", _old_names),
    )
    _row(
        "pooling-unsaid",
        "mean pooling",
        _pooled("cls"),
        _edit("1_Pooling/config.json", lambda config: {"embedding_dimension": config["embedding_dimension"]}),
    )


def _stages() -> None:
    _row("dense", "mean pooling + Dense", [*_pooled("mean"), _dense(_WIDTH, 16)])
    many = [
        *_pooled("cls", "mean"),
        Dropout(0.3),
        _dense(2 * _WIDTH, 24, torch.nn.GELU(), bias=False),
        LayerNorm(24),
        Normalize(),
        _dense(24, 24, torch.nn.Sigmoid(), use_residual=True),
        _dense(24, 12, torch.nn.Identity(), use_residual=True),
        Normalize(),
    ]
    _row("stages", "cls and mean pooling + Dense + LayerNorm + Normalize", many)
    _row("normalize-between", "cls pooling + Normalize + Dense", [*_pooled("cls"), Normalize(), _dense(_WIDTH, 16)])
    _row("truncated", "mean pooling + Normalize, cut", [*_pooled("mean"), Normalize()], truncate_dim=20)


def _prompts() -> None:
    _row("prompts", "mean pooling", _pooled("mean"), prompts=_PROMPTS, default_prompt_name="clustering")
    stages = _pooled("weightedmean", "cls", include_prompt=False)
    _row("without-prompt", "weightedmean and cls pooling joined, without the prompt", stages, prompts=_PROMPTS)


def _tokens() -> None:
    cut = _edit("tokenizer_config.json", lambda config: config | {"model_max_length": 12, "max_length": 7})
    _row("limit", "mean pooling", _pooled("mean"), cut)
    said = _edit("sentence_bert_config.json", lambda config: config | {"max_seq_length": 9})
    _row("limit-old", "mean pooling", _pooled("mean"), cut, said)
    lower = _edit("sentence_bert_config.json", lambda config: config | {"do_lower_case": True})
    _row("lower-case", "mean pooling", [_body(lower_case=False), Pooling(_WIDTH)], lower)
    other = _edit("tokenizer_config.json", lambda config: config | {"do_lower_case": True})
    _row("lower-case-tokenizer", "mean pooling", [_body(lower_case=False), Pooling(_WIDTH)], other)
    general = _edit("tokenizer_config.json", lambda config: config | {"tokenizer_class": "TokenizersBackend"})
    _row("lower-case-general", "mean pooling", [_body(lower_case=False), Pooling(_WIDTH)], other, general)
    _row("subfolder", "cls pooling", _pooled("cls"), _into_folder)


def _tables() -> None:
    _row("static", "none", [_table()], family="StaticEmbedding")
    stages = [_table(), _dense(_WIDTH, 16), Normalize()]
    _row("static-stages", "Dense + Normalize", stages, family="StaticEmbedding", prompts=_PROMPTS)


def _ways() -> None:
    router = Router.for_query_document([_table()], _pooled("mean"), default_route="document")
    _row("router", "a table for queries, mean pooling for documents", [router], prompts=_PROMPTS)
    router = Router.for_query_document(_pooled("cls", layers=1), [*_pooled("mean"), _dense(_WIDTH, _WIDTH)])
    _row("router-bodies", "two transformers + Normalize", [router, Normalize()])
    heads = Router.for_query_document([_dense(_WIDTH, 16)], [_dense(_WIDTH, 16, torch.nn.ReLU(), bias=False)])
    _row("asym", "mean pooling + a Dense for each input type", [*_pooled("mean"), heads], _as_asym)


def _model2vec() -> None:
    """Write a table as model2vec does, and compute by its definition: the mean of the known tokens, scaled."""
    folder = Path(tempfile.mkdtemp()) / "model"
    folder.mkdir()
    words = _words()
    words.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": "a/b",
        "apply_pca": 256,
        "apply_zipf": True,
        "sif_coefficient": 0.0001,
        "hidden_dim": 16,
        "seq_length": 1000000,
        "normalize": True,
        "pooling": "mean",
        "embedding_dtype": "int8",
        "vocabulary_quantization": 50,
    }
    (folder / "config.json").write_text(json.dumps(config))
    drawn = np.random.Generator(np.random.PCG64(5))
    tensors = {
        "embeddings": drawn.integers(-127, 128, (50, 16)).astype(np.int8),
        "mapping": drawn.integers(0, 50, len(VOCABULARY)).astype(np.int64),
        "weights": np.abs(jittered("weights", (len(VOCABULARY),))),
    }
    save_file(tensors, folder / "model.safetensors")
    unknown = words.token_to_id("[UNK]")

    def compute(place: Path) -> Mapping[str, Any]:
        stored = load_file(place / "model.safetensors")
        vectors = []
        for encoding in words.encode_batch(list(TEXTS), add_special_tokens=False):
            ids = [number for number in encoding.ids if number != unknown]
            rows = stored["embeddings"].astype(np.float64)[stored["mapping"][ids]] * stored["weights"][ids][:, None]
            mean = rows.mean(axis=0) if ids else np.zeros(16)
            vectors.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
        return {"documents": np.array(vectors)}

    make_row(
        "reader-model2vec",
        folder,
        compute,
        architecture="model2vec",
        head="Normalize",
        kind="dense",
        library="numpy, by model2vec's definition",
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for part in (_poolings, _stages, _prompts, _tokens, _tables, _ways, _model2vec):
        part()
