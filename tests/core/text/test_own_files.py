"""Dense models by what their own files say, beyond the rows: shipped graphs, prompts by name, ways, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import TextEmbedding, open_model
from onnxembed.compile import compile_model
from onnxembed.errors import InputError, InputTypeError, ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.spec import PoolingType
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.model_rows import TEXTS, Row, all_rows, computed, difference, write_row, write_safetensors

ROWS: Mapping[str, Row] = {row.id: row.values[0] for row in all_rows("dense")}
BOUND = 1e-6


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def folder_of(name: str, place: Path) -> Path:
    return write_row(ROWS[f"reader-{name}"], place / "model")


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.mark.parametrize(
    "name",
    ["poolings-all", "pooling-weightedmean", "stages", "normalize-between", "truncated", "without-prompt", "prompts"],
)
def test_a_shipped_graph_is_pooled_and_followed_in_the_same_way(name: str, tmp_path: Path, cache: Path) -> None:
    row, folder = ROWS[f"reader-{name}"], folder_of(name, tmp_path)
    compile_model(folder, folder / "model.onnx", pooling=PoolingType.DISABLED)
    (folder / "model.safetensors").unlink()
    model = TextEmbedding(folder, cache_dir=cache)
    values = computed(row, model)
    assert max(difference(row.expected[key], values[key]) for key in values) < BOUND
    assert model.embedding_size == np.shape(row.expected["documents"])[1]


def test_keys_of_the_architecture_do_not_bind_a_shipped_graph(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("pooling-mean", tmp_path)
    compile_model(folder, folder / "model.onnx", pooling=PoolingType.DISABLED)
    edit(folder / "config.json", lambda config: config | {"unheard_of": 1})
    assert TextEmbedding(folder, cache_dir=cache).embedding_size == 32
    (folder / "model.onnx").unlink()
    with pytest.raises(UnsupportedModelError, match=r"config\.json: the key 'unheard_of'"):
        TextEmbedding(folder, cache_dir=cache)


def test_prompts_by_name(tmp_path: Path, cache: Path) -> None:
    row = ROWS["reader-prompts"]
    model = TextEmbedding(folder_of("prompts", tmp_path), cache_dir=cache)
    texts = list(TEXTS)
    clustered = np.array(row.expected["prompt clustering"])
    for vectors in (
        model.query_embed(texts, prompt_name="clustering"),
        model.passage_embed(texts, prompt_name="clustering"),
        model.embed_to_array(texts, prompt_name="clustering", input_type="query"),
        model.embed(texts),  # it is the default
        model.embed(texts, prompt="cluster the fox: "),
    ):
        assert np.abs(np.stack(list(vectors)) - clustered).max() < BOUND
    plain = model.embed_to_array(texts, prompt="")
    assert np.abs(plain - clustered).max() > 1e-3
    assert model.description["default_prompt"] == "cluster the fox: "
    assert model.description["prompts"] == {
        "query": "query: ",
        "passage": "the text: ",
        "document": "the text: ",
        "clustering": "cluster the fox: ",
    }
    assert model.description["similarity"] == "cosine"


def test_names_of_prompts_as_options(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("prompts", tmp_path)
    named: dict[str, Any] = {"query_prompt_name": "document", "passage_prompt_name": "clustering"}
    model = TextEmbedding(folder, cache_dir=cache, lazy_load=True, **named)
    assert (model.options["query_prompt"], model.options["passage_prompt"]) == ("the text: ", "cluster the fox: ")
    assert TextEmbedding(**model.options, lazy_load=True).options == model.options
    with pytest.raises(InputError, match=r"query_prompt='a' and query_prompt_name='query': pass one of them"):
        TextEmbedding(folder, lazy_load=True, query_prompt="a", query_prompt_name="query")
    with pytest.raises(InputError, match=r"passage_prompt_name='cluster': .*Did you mean 'clustering'"):
        TextEmbedding(folder, lazy_load=True, passage_prompt_name="cluster")
    with pytest.raises(InputTypeError, match="query_prompt_name=5: expected the name"):
        TextEmbedding(folder, lazy_load=True, query_prompt_name=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="prompt_name='summary'"):
        model.embed("a", prompt_name="summary")
    with pytest.raises(InputError, match="prompt='b' and prompt_name='query': pass one of them"):
        model.embed("a", prompt="b", prompt_name="query")


def test_models_of_the_catalogue_have_two_prompts_by_name() -> None:
    model = TextEmbedding("intfloat/multilingual-e5-large", lazy_load=True, query_prompt_name="document")
    assert model.options["query_prompt"] == "passage: "
    with pytest.raises(InputError, match="has the prompts 'query', 'document', 'passage'"):
        TextEmbedding("intfloat/multilingual-e5-large", lazy_load=True, query_prompt_name="other")


def test_a_limit_by_the_files_and_by_the_caller(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("limit", tmp_path)
    model = TextEmbedding(folder, cache_dir=cache)
    assert (model.max_length, model.max_length_source) == (12, "tokenizer_config.json")
    assert TextEmbedding(folder, cache_dir=cache, max_length=50).max_length == 50
    edit(folder / "sentence_bert_config.json", lambda said: said | {"processing_kwargs": {"text": {"max_length": 8}}})
    assert TextEmbedding(folder, cache_dir=cache).max_length == 8
    edit(folder / "sentence_bert_config.json", lambda said: said | {"processing_kwargs": {"text": {"padding": False}}})
    with pytest.raises(UnsupportedModelError, match=r"processing_kwargs\.text\.padding is False"):
        TextEmbedding(folder, cache_dir=cache)
    edit(folder / "sentence_bert_config.json", lambda said: {"tokenizer_args": {"model_max_length": 10}})
    assert TextEmbedding(folder, cache_dir=cache).max_length == 10
    edit(folder / "sentence_bert_config.json", lambda said: {"tokenizer_args": {"use_fast": False}})
    with pytest.raises(UnsupportedModelError, match=r"tokenizer_args\.use_fast"):
        TextEmbedding(folder, cache_dir=cache)
    (folder / "sentence_bert_config.json").unlink()
    edit(folder / "tokenizer_config.json", lambda said: said | {"model_max_length": 10**30, "max_length": 7})
    assert TextEmbedding(folder, cache_dir=cache).max_length == 140


def test_ways_of_queries_and_documents(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("router", tmp_path)
    model = TextEmbedding(folder, cache_dir=cache)
    assert type(open_model(folder, cache_dir=cache)) is TextEmbedding
    assert (model.embedding_size, model.max_length, model.loaded) == (32, 128, True)
    assert model.fingerprint != TextEmbedding(folder, cache_dir=cache, lazy_load=True, normalize=True).fingerprint
    before = TextEmbedding(folder, cache_dir=cache, lazy_load=True).fingerprint
    table = folder / "query_0_StaticEmbedding" / "model.safetensors"
    table.write_bytes(table.read_bytes()[:-1] + b"\x00")
    assert TextEmbedding(folder, cache_dir=cache, lazy_load=True).fingerprint != before


def test_texts_without_a_way(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("router", tmp_path)
    no_default = {"default_route": None, "allow_empty_key": False}
    edit(folder / "router_config.json", lambda said: said | {"parameters": no_default})
    model = TextEmbedding(folder, cache_dir=cache)
    assert np.isfinite(model.embed_to_array("a", input_type="query")).all()
    with pytest.raises(InputError, match=r"has none for input_type=None; pass input_type= one of 'query', 'document'"):
        model.embed_to_array("a")
    mapped = {"route_mappings": {"('query', None)": "document", "(None, 'text')": "query"}}
    edit(folder / "router_config.json", lambda said: said | {"parameters": mapped})
    swapped = TextEmbedding(folder, cache_dir=cache)
    expected = model.embed_to_array(list(TEXTS), input_type="document", prompt="")
    assert np.array_equal(swapped.embed_to_array(list(TEXTS), input_type="query", prompt=""), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"structure": {"query": ["x"]}}, r"structure\.query is \['x'\], expected names among"),
        ({"structure": {}}, "expected the stages of each way"),
        ({"parameters": {"default_route": "other"}}, "expected a way among query, document"),
        ({"parameters": {"route_mappings": {"evil()": "query"}}}, "expected a pair of a task and a modality"),
        (
            {"types": {"../x": "sentence_transformers.models.Transformer"}, "structure": {"query": ["../x"]}},
            "does not name a file",
        ),
    ],
)
def test_routers_that_contradict_themselves(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = folder_of("router", tmp_path)
    edit(folder / "router_config.json", lambda said: said | change)
    with pytest.raises(ModelError, match=message):
        TextEmbedding(folder, lazy_load=True)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("2_Dense/config.json", {"activation_function": "evil.Tanh"}, r"activation_function is 'evil\.Tanh'"),
        ("2_Dense/config.json", {"activation_function": "torch.nn.Softmax"}, "known here are the classes of torch.nn"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "module_input_name is 'token_embeddings'"),
        ("2_Dense/config.json", {"in_features": 31}, "takes vectors of 31 numbers, but those before it have 32"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task is 'fill-mask'"),
        ("sentence_bert_config.json", {"modality_config": {"message": {}}}, "modality_config names message"),
        ("sentence_bert_config.json", {"config_args": {"num_hidden_layers": 1}}, r"config_args\.num_hidden_layers"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model_type is 'SparseEncoder'"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "maxsim"}, "similarity_fn_name is 'maxsim'"),
        ("tokenizer_config.json", {"split_special_tokens": True}, "split_special_tokens is True"),
    ],
)
def test_what_cannot_be_honoured_is_refused(file: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = folder_of("dense", tmp_path)
    edit(folder / file, lambda said: said | change)
    with pytest.raises(ModelError, match=message):
        TextEmbedding(folder, lazy_load=True)


@pytest.mark.parametrize(
    "kind", ["WordEmbeddings", "BoW", "CNN", "LSTM", "WeightedLayerPooling", "WordWeights", "CLIPModel"]
)
def test_stages_that_are_not_computed_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    folder = folder_of("dense", tmp_path)
    stage = {"idx": 3, "name": "3", "path": f"3_{kind}", "type": f"sentence_transformers.models.{kind}"}
    edit(folder / "modules.json", lambda entries: [*entries, stage])
    with pytest.raises(UnsupportedModelError, match=f"lists the stages {kind}, which are not supported"):
        TextEmbedding(folder, lazy_load=True)


def test_weights_of_a_stage_are_there_and_not_pickled(tmp_path: Path) -> None:
    folder = folder_of("dense", tmp_path)
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(UnsupportedModelError, match=r"2_Dense.pytorch_model\.bin: the stage's weights are pickled"):
        TextEmbedding(folder, lazy_load=True)
    (folder / "2_Dense" / "pytorch_model.bin").unlink()
    with pytest.raises(ModelNotFoundError, match=r"2_Dense.model\.safetensors is missing"):
        TextEmbedding(folder, lazy_load=True)


def test_a_pooling_that_no_file_says_is_asked_for(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("pooling-mean", tmp_path)
    edit(folder / "modules.json", lambda entries: entries[:1])
    with pytest.raises(UnsupportedModelError, match="no Pooling follows; pass pooling= to choose one"):
        TextEmbedding(folder, lazy_load=True)
    vectors = TextEmbedding(folder, cache_dir=cache, pooling="MEAN").embed_to_array(list(TEXTS))
    assert np.abs(vectors - ROWS["reader-pooling-mean"].expected["documents"]).max() < BOUND


def test_a_tokenizer_that_contradicts_its_configuration(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("pooling-mean", tmp_path)
    edit(folder / "tokenizer_config.json", lambda said: said | {"add_bos_token": True, "bos_token": "[SEP]"})
    with pytest.raises(UnsupportedModelError, match=r"add_bos_token is true, .* does not put '\[SEP\]'"):
        TextEmbedding(folder, cache_dir=cache)


def test_accents_and_added_tokens_as_the_configuration_has_them(tmp_path: Path, cache: Path) -> None:
    folder = folder_of("pooling-mean", tmp_path)
    plain = TextEmbedding(folder, cache_dir=cache)
    assert np.array_equal(plain.embed_to_array("föx"), plain.embed_to_array("fox"))
    assert plain.token_count("the fox<dog>") > 5
    edit(folder / "tokenizer_config.json", lambda said: said | {"strip_accents": False})
    kept = TextEmbedding(folder, cache_dir=cache)
    assert not np.array_equal(kept.embed_to_array("föx"), kept.embed_to_array("fox"))
    added = {"added_tokens_decoder": {"5": {"content": "fox", "special": True}}}
    edit(folder / "tokenizer_config.json", lambda said: said | added)
    assert TextEmbedding(folder, cache_dir=cache).token_count("foxfox") == 4


def test_a_graph_that_pools_by_itself(tmp_path: Path, cache: Path) -> None:
    """Its vectors stay as they are; the stages after it are applied where they are outside."""
    folder = folder_of("dense", tmp_path)  # whose Dense stage makes 16 numbers of 32
    write_graph(folder / "model.onnx", GraphForm(output="sentence", vocabulary=300))  # gives 16
    inside = TextEmbedding(folder, cache_dir=cache)
    assert (inside.options["pooling"], inside.embedding_size) == ("DISABLED", 16)
    vectors = inside.embed_to_array(list(TEXTS[:3]))

    edit(folder / "2_Dense" / "config.json", lambda said: said | {"in_features": 16, "out_features": 2, "bias": False})
    weight = np.arange(32, dtype=np.float32).reshape(2, 16) / 32
    write_safetensors(folder / "2_Dense" / "model.safetensors", {"linear.weight": weight})
    outside = TextEmbedding(folder, cache_dir=cache)
    assert outside.embedding_size == 2
    assert np.abs(outside.embed_to_array(list(TEXTS[:3])) - np.tanh(vectors @ weight.T)).max() < BOUND

    edit(folder / "2_Dense" / "config.json", lambda said: said | {"in_features": 20, "out_features": 30})
    with pytest.raises(UnsupportedModelError, match="whether 2_Dense are part of it; pass pooling='DISABLED'"):
        TextEmbedding(folder, cache_dir=cache)
    as_it_is = TextEmbedding(folder, cache_dir=cache, pooling="DISABLED")
    assert np.array_equal(as_it_is.embed_to_array(list(TEXTS[:3])), vectors)
    edit(folder / "1_Pooling" / "config.json", lambda said: said | {"include_prompt": False})
    with pytest.raises(UnsupportedModelError, match="include_prompt is false, but the graph pools by itself"):
        TextEmbedding(folder, cache_dir=cache)


def test_tasks_of_adapters(tmp_path: Path, cache: Path) -> None:
    row = ROWS["jina-v3-task"]
    folder, texts = write_row(row, tmp_path / "model"), list(TEXTS)
    edit(folder / "modules.json", lambda listed: [listed[0] | {"type": "custom_st.Transformer"}, *listed[1:]])
    stored = {"retrieval.query": "the query: ", "retrieval.passage": "the text: "}
    edit(folder / "config_sentence_transformers.json", lambda said: said | {"prompts": stored})
    model = TextEmbedding(folder, cache_dir=cache)
    assert model.options["query_prompt"] == "the query: "
    by_number = np.stack(list(model.embed(texts, task_id=1)))
    assert np.abs(by_number - row.expected["documents"]).max() < BOUND
    without_prompt = np.stack(list(TextEmbedding(folder, cache_dir=cache, passage_prompt="").passage_embed(texts)))
    assert np.array_equal(without_prompt, by_number)
    without_task = model.embed_to_array(texts)
    assert np.abs(without_task - ROWS["jina-v3-no-task"].expected["documents"]).max() < BOUND

    compile_model(folder, folder / "model.onnx", pooling=PoolingType.DISABLED)
    shipped = TextEmbedding(folder, cache_dir=cache)
    assert np.abs(np.stack(list(shipped.embed(texts, task_id="retrieval.passage"))) - by_number).max() < BOUND
    with pytest.raises(ModelError, match="these texts have no task: pass task_id="):
        shipped.embed_to_array("a")

    edit(folder / "config.json", lambda config: {key: value for key, value in config.items() if "lora" not in key})
    with pytest.raises(UnsupportedModelError, match=r"lists the stages custom_st\.Transformer"):
        TextEmbedding(folder, cache_dir=cache)
