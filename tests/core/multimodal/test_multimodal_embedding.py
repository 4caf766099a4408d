"""`LateInteractionMultimodalEmbedding`: arguments, errors, copies, the asynchronous twins, models of one's own."""

from __future__ import annotations

import copy
import io
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxembed import ModelSource
from onnxembed.errors import (
    InputError,
    InputTypeError,
    ModelError,
    ModelNotFoundError,
    TextTooLongError,
    UnknownModelError,
    UnsupportedModelError,
)
from onnxembed.hub.files import FolderFiles
from onnxembed.multimodal.colqwen2 import ColQwen2
from onnxembed.multimodal.discovery import describe
from onnxembed.multimodal.known import multimodal_registry
from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
from onnxembed.multimodal.spec import MultimodalKind
from onnxembed.multimodal.work import page_limits
from onnxembed.runtime.batching import RunPlan
from onnxembed.text.tokenizer import load_tokenizer
from tests.fixtures.dense_tokenizers import write_json
from tests.fixtures.images import encoded, picture
from tests.fixtures.multimodal_models import COLMODERNVBERT, COLPALI, COLQWEN2, DIM, QUERIES, Form, pictures

FormFolder = Callable[[Form], Path]
BOUND = 1e-5


@pytest.fixture
def folder(form_folder: FormFolder) -> Path:
    return form_folder(Form(COLMODERNVBERT))


@pytest.fixture
def model(folder: Path) -> LateInteractionMultimodalEmbedding:
    return LateInteractionMultimodalEmbedding(COLMODERNVBERT, specific_model_path=folder)


def equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(
        one.shape == other.shape and np.abs(one - other).max() <= BOUND for one, other in zip(ours, theirs, strict=True)
    )


def test_what_the_model_is(model: LateInteractionMultimodalEmbedding, folder: Path) -> None:
    assert model.model_name == COLMODERNVBERT
    assert repr(model) == f"LateInteractionMultimodalEmbedding({COLMODERNVBERT!r})"
    assert model.embedding_size == DIM
    assert model.loaded
    assert model.max_concurrency >= 2
    upper = LateInteractionMultimodalEmbedding(COLMODERNVBERT.upper(), specific_model_path=folder, lazy_load=True)
    assert upper.model_name == COLMODERNVBERT
    assert LateInteractionMultimodalEmbedding(COLPALI, lazy_load=True).embedding_size == 128
    assert LateInteractionMultimodalEmbedding.get_embedding_size(COLPALI.lower()) == 128


def test_options_make_an_equal_object(folder: Path) -> None:
    first = LateInteractionMultimodalEmbedding(
        COLMODERNVBERT,
        threads=1,
        specific_model_path=folder,
        max_length=20,
        truncate=False,
        token_budget=99,
        allow_urls=True,
        max_pixels=10_000,
        max_bytes=20_000,
        timeout_seconds=3,
    )
    options = first.options
    assert (options["threads"], options["max_length"], options["token_budget"]) == (1, 20, 99)
    assert (options["truncate"], options["allow_urls"], options["timeout_seconds"]) == (False, True, 3)
    assert (options["max_pixels"], options["max_bytes"]) == (10_000, 20_000)
    second = LateInteractionMultimodalEmbedding(**options)
    assert second.options == options
    assert equal(list(first.embed_query("hello")), list(second.embed_query("hello")))


def test_copies_and_pickles(model: LateInteractionMultimodalEmbedding) -> None:
    assert copy.copy(model) is model
    assert copy.deepcopy(model) is model
    data = pickle.dumps(model)
    assert len(data) < 3000
    again = pickle.loads(data)
    assert again.options == model.options
    assert equal(list(again.embed_text(QUERIES)), list(model.embed_text(QUERIES)))


def test_arguments_are_checked_at_the_call(model: LateInteractionMultimodalEmbedding) -> None:
    methods: tuple[Callable[..., Any], ...] = (
        model.embed_text,
        model.embed_query,
        model.aembed_text,
        model.aembed_query,
    )
    for method in methods:
        with pytest.raises(InputTypeError, match="text 1 is None"):
            method(["a", None])
    of_images: tuple[Callable[..., Any], ...] = (model.embed_image, model.aembed_image)
    for method in (*methods, *of_images):
        with pytest.raises(InputError, match="batch_size must be >= 1"):
            method(["a"], batch_size=0)
        with pytest.raises(InputError, match="parallel must be >= 0"):
            method(["a"], parallel=-1)
        with pytest.raises(InputTypeError, match="is an int; expected"):
            method(cast("Any", 5))
    for method in of_images:
        with pytest.raises(InputTypeError, match="image 1 is None"):
            method([picture(4, 4), cast("Any", None)])
    with pytest.raises(InputError, match="batch_size must be >= 1"):
        model.token_count(["a"], batch_size=0)
    with pytest.raises(InputTypeError, match="include_extension='no'"):
        model.token_count(["a"], include_extension="no")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="text 0 is an int"):
        model.token_count([1])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"truncate": None}, InputTypeError, "truncate=None"),
        ({"token_budget": 0}, InputError, "token_budget"),
        ({"max_length": 0}, InputError, "max_length"),
        ({"threads": 0}, InputError, "threads"),
        ({"allow_urls": 1}, InputTypeError, "allow_urls=1"),
        ({"max_pixels": 0}, InputError, "max_pixels"),
        ({"max_bytes": 0}, InputError, "max_bytes"),
        ({"timeout_seconds": 0}, InputError, "timeout_seconds"),
    ],
)
def test_constructor_checks_first(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LateInteractionMultimodalEmbedding(COLPALI, **options)


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UnknownModelError, match=r"Did you mean 'Qdrant/colpali-v1\.3-fp16'"):
        LateInteractionMultimodalEmbedding("qdrant/colpali-v1.3")


def test_long_texts_can_be_refused(folder: Path) -> None:
    model = LateInteractionMultimodalEmbedding(
        COLMODERNVBERT, specific_model_path=folder, max_length=15, truncate=False
    )
    with pytest.raises(TextTooLongError, match="text 1 has 16 tokens, more than the limit of 15"):
        list(model.embed_text(["hi", "qwertz"]))


def test_nothing_needs_no_model() -> None:
    model = LateInteractionMultimodalEmbedding(COLPALI, lazy_load=True, local_files_only=True)
    assert list(model.embed_text([])) == []
    assert list(model.embed_image([])) == []
    assert list(model.embed_query(())) == []
    assert model.token_count([]) == 0
    with pytest.raises(ModelNotFoundError):
        model.embed_text(["a"])


def test_images_in_every_form(model: LateInteractionMultimodalEmbedding, tmp_path: Path) -> None:
    image = picture(64, 48)
    data = encoded(image)
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    (expected,) = model.embed_image(image)
    given: Any
    for given in (path, str(path), data, bytearray(data), io.BytesIO(data), np.asarray(image), [image], (path,)):
        assert equal(list(model.embed_image(given)), [expected])
    assert equal(list(model.embed_image(image for _ in range(5))), [expected] * 5)


def test_errors_name_the_image(model: LateInteractionMultimodalEmbedding, folder: Path) -> None:
    with pytest.raises(InputError, match="image 1 "):
        list(model.embed_image([encoded(picture(8, 8)), b"no picture"]))
    small = LateInteractionMultimodalEmbedding(COLMODERNVBERT, specific_model_path=folder, max_pixels=100)
    with pytest.raises(InputError, match=r"image 0 .* has 11 x 10 pixels, more than the limit of 100"):
        list(small.embed_image(picture(11, 10)))
    with pytest.raises(InputError, match="allow_urls"):
        list(model.embed_image("https://example.com/cat.jpg"))


def test_generators_are_read_little_ahead(model: LateInteractionMultimodalEmbedding) -> None:
    read: list[int] = []

    def endless() -> Any:
        while True:
            read.append(len(read))
            yield picture(40, 30, seed=len(read))

    stream = model.embed_image(endless(), batch_size=2)
    for _ in range(3):
        next(stream)
    assert len(read) <= 12
    stream.close()  # type: ignore[attr-defined]


async def test_asynchronous_twins(model: LateInteractionMultimodalEmbedding) -> None:
    texts = [rows async for rows in model.aembed_text(QUERIES)]
    queries = [rows async for rows in model.aembed_query(QUERIES, 2)]
    assert equal(texts, list(model.embed_text(QUERIES)))
    assert equal(queries, texts)
    images = [rows async for rows in model.aembed_image(pictures(), 3)]
    assert equal(images, list(model.embed_image(pictures())))
    counted = await model.atoken_count(QUERIES, include_extension=True)
    assert counted == model.token_count(QUERIES, include_extension=True)
    assert await model.run_async(lambda: model.token_count("hello")) == model.token_count("hello")


@pytest.mark.parametrize(
    ("batch_size", "workers", "window"), [(2, 1, 4), (2, 3, 12), (16, 1, 32), (64, 2, 32), (2, 40, 40)]
)
def test_windows_hold_two_batches_but_few_pages(batch_size: int, workers: int, window: int) -> None:
    """A page takes up to 17 MB until it has run, and three windows are held."""
    limits = page_limits(RunPlan(budget=512), batch_size, workers, None)
    assert (limits.window_items, limits.max_items, limits.workers, limits.budget) == (window, batch_size, workers, 512)
    alone = page_limits(RunPlan(budget=512, workers=3, one_by_one=True), batch_size, None, 7)
    assert (alone.window_items, alone.max_items, alone.workers, alone.budget) == (6, 1, 3, 7)


def test_list_of_models() -> None:
    listed = LateInteractionMultimodalEmbedding.list_supported_models()
    assert [model["model"] for model in listed][:2] == [COLPALI, COLMODERNVBERT]
    assert [model["kind"] for model in listed][:2] == ["COLPALI", "COLMODERNVBERT"]


def test_custom_model(form_folder: FormFolder) -> None:
    name = "org/my-colqwen2"
    folder = form_folder(Form(COLQWEN2))
    LateInteractionMultimodalEmbedding.add_custom_model(
        name, ModelSource(hf=name), output_name="vectors", kind="colqwen2", license="mit", max_tokens=9
    )
    try:
        described = multimodal_registry.find(name)
        assert (described.kind, described.dim, described.output) == (MultimodalKind.COLQWEN2, 128, "vectors")
        own = LateInteractionMultimodalEmbedding(name, specific_model_path=folder)
        assert equal(
            list(own.embed_text(QUERIES)), list(LateInteractionMultimodalEmbedding(folder).embed_text(QUERIES))
        )
        assert LateInteractionMultimodalEmbedding.list_supported_models()[-1]["max_tokens"] == 9
    finally:
        multimodal_registry.remove(name)
    with pytest.raises(InputError, match=r"kind='COLQWEN3' is unknown.*COLQWEN2"):
        LateInteractionMultimodalEmbedding.add_custom_model(name, ModelSource(hf=name), kind="COLQWEN3")
    with pytest.raises(InputTypeError, match="expected a ModelSource"):
        LateInteractionMultimodalEmbedding.add_custom_model(name, "org/x", kind="COLPALI")  # type: ignore[call-overload]  # a string, on purpose


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (COLPALI, MultimodalKind.COLPALI),
        (COLMODERNVBERT, MultimodalKind.COLMODERNVBERT),
        (COLQWEN2, MultimodalKind.COLQWEN2),
    ],
)
def test_folders_describe_themselves(kind: str, expected: MultimodalKind, form_folder: FormFolder) -> None:
    model = LateInteractionMultimodalEmbedding(form_folder(Form(kind)))
    assert describe(FolderFiles(form_folder(Form(kind)))).kind is expected
    assert model.embedding_size == DIM
    assert next(model.embed_text("hello")).shape[1] == DIM


def test_folders_that_do_not(form_folder: FormFolder, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds no graph: expected one of .*model_v2\.onnx"):
        LateInteractionMultimodalEmbedding(tmp_path)
    folder = shutil.copytree(form_folder(Form(COLQWEN2)), tmp_path / "copy")
    write_json(folder / "config.json", {"model_type": "qwen2_vl", "embedding_dim": 77, "pad_token_id": 3})
    # The length of the vectors is the graph's own, whatever a file beside it says.
    model = LateInteractionMultimodalEmbedding(folder, lazy_load=True)
    assert model.embedding_size == next(model.embed_query("hello")).shape[1] == 128
    write_json(folder / "config.json", {"model_type": "bert"})
    with pytest.raises(UnsupportedModelError, match="names the model_type 'bert'; expected one of colpali"):
        LateInteractionMultimodalEmbedding(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"holds no tokenizer\.json"):
        LateInteractionMultimodalEmbedding(folder)


def test_prompts_of_the_processor_are_taken(form_folder: FormFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(form_folder(Form(COLQWEN2)), tmp_path / "copy")
    stated = {"query_prefix": "Ask: ", "visual_prompt_prefix": "<|image_pad|>See."}
    write_json(folder / "processor_config.json", stated)
    assert LateInteractionMultimodalEmbedding(folder).loaded
    tokenizer = load_tokenizer(folder, None)
    conventions = ColQwen2(folder, tokenizer, flat=False)
    assert conventions.query("x") == "Ask: x" + "<|endoftext|>" * 10 + "\n"
    page = conventions.page(picture(56, 56))
    assert page.ids.tolist() == tokenizer.backend.encode("<|image_pad|>" * 4 + "See.").ids
    write_json(folder / "processor_config.json", {"query_prefix": 5})
    with pytest.raises(ModelError, match=r"query_prefix is 5; expected a string"):
        LateInteractionMultimodalEmbedding(folder, threads=3)
    write_json(folder / "processor_config.json", {"visual_prompt_prefix": "See."})
    with pytest.raises(ModelError, match=r"a prompt for pictures with that token once; the prompt is 'See.'"):
        LateInteractionMultimodalEmbedding(folder, threads=3)


def test_colpali_wants_pictures_of_one_size(form_folder: FormFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(form_folder(Form(COLPALI)), tmp_path / "copy")
    config = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    write_json(folder / "preprocessor_config.json", config | {"size": {"shortest_edge": 448}})
    with pytest.raises(ModelError, match="a model of this kind takes one size"):
        LateInteractionMultimodalEmbedding(folder)


def test_colpali_and_a_key_that_nobody_reads(form_folder: FormFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(form_folder(Form(COLPALI)), tmp_path / "copy")
    config = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    write_json(folder / "preprocessor_config.json", config | {"a_key_of_tomorrow": 5})
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: the key 'a_key_of_tomorrow'"):
        LateInteractionMultimodalEmbedding(folder)
    assert LateInteractionMultimodalEmbedding(folder, accept_unknown=("a_key_of_tomorrow",)).loaded


def write_graph(path: Path, inputs: tuple[str, ...], shape: list[str | int]) -> None:
    """A graph that gives ones of a shape, whatever it is fed."""
    node = helper.make_node("ConstantOfShape", ["shape"], ["out"])
    graph = helper.make_graph(
        [node],
        "ones",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [helper.make_tensor("shape", TensorProto.INT64, [3], [1, 2, 5])],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_graphs_that_do_not_fit(form_folder: FormFolder, tmp_path: Path) -> None:
    for number in range(3):
        shutil.copytree(form_folder(Form(COLQWEN2)), tmp_path / str(number))
    folder = tmp_path / "0"
    write_graph(folder / "model.onnx", ("input_ids", "position_ids"), ["batch", "tokens", 5])
    with pytest.raises(ModelError, match="the graph takes input_ids, position_ids; expected input_ids and at most"):
        LateInteractionMultimodalEmbedding(folder)
    folder = tmp_path / "1"
    write_graph(folder / "model.onnx", ("input_ids",), ["batch", 5])
    with pytest.raises(ModelError, match=r"gives no vector per token: its outputs are out \['batch', 5\]"):
        LateInteractionMultimodalEmbedding(folder)
    folder = tmp_path / "2"
    write_graph(folder / "model.onnx", ("input_ids",), ["batch", "tokens", 5])
    model = LateInteractionMultimodalEmbedding(folder)
    assert model.embedding_size == 5
    with pytest.raises(ModelError, match=r"gives 'out' of shape \(1, 2, 5\) for \(1, \d+\) tokens"):
        list(model.embed_text("hello"))


def test_import_is_light() -> None:
    code = (
        "import sys, onnxembed.multimodal.model; "
        "print([name for name in ('numpy', 'PIL', 'onnxruntime', 'tokenizers', 'pypdfium2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
