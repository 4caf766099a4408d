from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxembed.compile.rewrite.reduce_logits import with_max_over_tokens
from onnxembed.errors import ModelError, UnsafeModelError, UnsupportedModelError
from onnxembed.formats.onnx_graph import inspect_graph
from tests.fixtures.graph_runs import run_graph
from tests.fixtures.logits_models import HIDDEN, VOCABULARY, biases, expected, feed, logits_model, words


def reduced(model: Any, folder: Path) -> Path:
    onnx.save_model(model, folder / "model.onnx")
    with_max_over_tokens(
        folder / "model.onnx", folder / "reduced.onnx", logits="logits", attention_mask="attention_mask"
    )
    return folder / "reduced.onnx"


@pytest.mark.parametrize("mask", [np.int32, np.int64])
@pytest.mark.parametrize(("opset", "ir_version"), [(11, 6), (12, 6), (13, 7), (17, 8), (18, 8), (21, 10)])
def test_values_in_every_version(tmp_path: Path, opset: int, ir_version: int, mask: Any) -> None:
    mask_type = TensorProto.INT32 if mask is np.int32 else TensorProto.INT64
    path = reduced(logits_model(opset=opset, ir_version=ir_version, mask=mask_type), tmp_path)
    given = feed(mask)
    results = run_graph(path, given)
    assert list(results) == ["max_logits", "states"]
    assert results["max_logits"].dtype == np.float32
    np.testing.assert_allclose(results["max_logits"], expected(given), atol=1e-5)
    np.testing.assert_array_equal(results["states"], words()[given["input_ids"]])
    onnx.checker.check_model(str(path), full_check=True)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_half_precision_is_widened_at_the_end(tmp_path: Path, opset: int) -> None:
    path = reduced(logits_model(numbers=np.float16, opset=opset), tmp_path)
    result = run_graph(path, feed())["max_logits"]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected(feed(), np.float16), atol=5e-3)


def test_padding_alone_and_infinite_padding(tmp_path: Path) -> None:
    model = logits_model()
    infinite = words()
    infinite[7] = np.inf
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(infinite, "words"))
    given = feed()
    given["input_ids"][2, 1:] = 7
    result = run_graph(reduced(model, tmp_path), given)["max_logits"]
    np.testing.assert_allclose(result[2], expected(given)[2], atol=1e-5)
    given["attention_mask"][1] = 0
    assert (run_graph(tmp_path / "reduced.onnx", given)["max_logits"][1] == -np.inf).all()


def test_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    source = logits_model()
    before, after = source, onnx.load(reduced(source, tmp_path))
    for name in ("ir_version", "model_version", "opset_import", "metadata_props", "producer_name"):
        assert getattr(after, name) == getattr(before, name), name
    for name in ("name", "input"):
        assert getattr(after.graph, name) == getattr(before.graph, name), name
    assert list(after.graph.node[:3]) == list(before.graph.node)
    assert list(after.graph.initializer[:2]) == list(before.graph.initializer)
    assert after.graph.output[1] == before.graph.output[1]
    facts = inspect_graph(tmp_path / "reduced.onnx")
    assert [(value.name, value.element_type, value.shape) for value in facts.outputs] == [
        ("max_logits", 1, ("batch", VOCABULARY)),
        ("states", 1, ("batch", "tokens", HIDDEN)),
    ]


def test_weights_in_another_file_stay_there(tmp_path: Path) -> None:
    model = logits_model()
    onnx.save_model(
        model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=64
    )
    (tmp_path / "elsewhere").mkdir()
    for target in (tmp_path / "reduced.onnx", tmp_path / "elsewhere" / "reduced.onnx"):
        with_max_over_tokens(tmp_path / "model.onnx", target, logits="logits", attention_mask="attention_mask")
        assert inspect_graph(target, require_external_data=False).external_data == ("weights.bin",)
    shutil.copy(tmp_path / "weights.bin", tmp_path / "elsewhere")
    for folder in (tmp_path, tmp_path / "elsewhere"):
        result = run_graph(folder / "reduced.onnx", feed())["max_logits"]
        np.testing.assert_allclose(result, expected(feed()), atol=1e-5)


def test_a_graph_in_two_parts(tmp_path: Path) -> None:
    whole = logits_model()
    rest = onnx.ModelProto()
    rest.graph.output.append(whole.graph.output[0])
    del whole.graph.output[0]
    path = tmp_path / "model.onnx"
    path.write_bytes(whole.SerializeToString() + rest.SerializeToString())
    with_max_over_tokens(path, path, logits="logits", attention_mask="attention_mask")  # in its own place
    results = run_graph(path, feed())
    assert list(results) == ["states", "max_logits"]
    np.testing.assert_allclose(results["max_logits"], expected(feed()), atol=1e-5)


def test_fields_that_the_schema_does_not_have_are_dropped_or_copied(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    unknown = bytes([(200 << 3 | 2) & 0x7F | 0x80, 200 << 3 >> 7, 1, 65])  # field 200, one byte
    fixed = bytes([(201 << 3 | 1) & 0x7F | 0x80, 201 << 3 >> 7]) + bytes(8)  # field 201, eight bytes
    path.write_bytes(unknown + fixed + logits_model().SerializeToString())
    with_max_over_tokens(path, tmp_path / "reduced.onnx", logits="logits", attention_mask="attention_mask")
    content = (tmp_path / "reduced.onnx").read_bytes()
    assert unknown in content
    assert fixed not in content
    np.testing.assert_allclose(run_graph(tmp_path / "reduced.onnx", feed())["max_logits"], expected(feed()), atol=1e-5)


def test_sizes_that_the_file_leaves_open(tmp_path: Path) -> None:
    path = reduced(logits_model(shape=(None, None, None)), tmp_path)
    assert inspect_graph(path).outputs[0].shape == ("batch", "vocabulary")
    np.testing.assert_allclose(run_graph(path, feed())["max_logits"], expected(feed()), atol=1e-5)


@pytest.mark.parametrize(
    ("form", "names", "error", "told"),
    [
        ({"opset": 10, "ir_version": 5}, {}, UnsupportedModelError, "version 10 of ONNX's operators, expected 11"),
        ({"shape": ("batch", VOCABULARY)}, {}, UnsupportedModelError, r"shape \('batch', 300\), expected \(batch, seq"),
        ({"shape": None}, {}, UnsupportedModelError, "the shape None, expected"),
        ({"numbers": np.float64}, {}, UnsupportedModelError, r"element type 11, expected float32 \(1\) or float16"),
        ({"mask": TensorProto.FLOAT}, {}, UnsupportedModelError, r"element type 1, expected int32 \(6\) or int64"),
        ({}, {"logits": "logit"}, ModelError, "no output 'logit'; it has 'logits', 'states'. Did you mean 'logits'"),
        ({}, {"attention_mask": "mask"}, ModelError, "no input 'mask'; it has 'input_ids', 'attention_mask'"),
    ],
    ids=str,
)
def test_refused(
    tmp_path: Path, form: dict[str, Any], names: dict[str, str], error: type[ModelError], told: str
) -> None:
    onnx.save_model(logits_model(**form), tmp_path / "model.onnx")
    with pytest.raises(error, match=told) as caught:
        with_max_over_tokens(
            tmp_path / "model.onnx",
            tmp_path / "reduced.onnx",
            **({"logits": "logits", "attention_mask": "attention_mask"} | names),
        )
    assert str(tmp_path / "model.onnx") in str(caught.value)
    assert not (tmp_path / "reduced.onnx").exists()


def test_an_unsafe_file_is_refused(tmp_path: Path) -> None:
    model = logits_model()
    model.graph.node[2].domain = "somebody"
    with pytest.raises(UnsafeModelError, match="somebody"):
        reduced(model, tmp_path)


def test_the_second_time_there_are_no_logits(tmp_path: Path) -> None:
    reduced(logits_model(), tmp_path)
    with pytest.raises(ModelError, match="no output 'logits'; it has 'max_logits', 'states'"):
        with_max_over_tokens(
            tmp_path / "reduced.onnx", tmp_path / "twice.onnx", logits="logits", attention_mask="attention_mask"
        )


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("bias", ["after", "before"])
@pytest.mark.parametrize(("opset", "ir_version"), [(12, 6), (13, 7), (17, 8), (18, 8), (21, 10)])
def test_a_bias_is_added_to_the_maximum(tmp_path: Path, opset: int, ir_version: int, bias: str) -> None:
    path = reduced(logits_model(opset=opset, ir_version=ir_version, bias=bias), tmp_path)
    given = feed()
    results = run_graph(path, given)
    np.testing.assert_allclose(results["max_logits"], expected(given) + biases(), atol=1e-5)
    np.testing.assert_array_equal(results["states"], words()[given["input_ids"]])
    assert operators(path).count("MatMul") == 1
    assert "Min" not in operators(path)
    onnx.checker.check_model(str(path), full_check=True)


def test_padding_on_any_side_and_padding_alone_beside_a_bias(tmp_path: Path) -> None:
    path = reduced(logits_model(bias="after"), tmp_path)
    given = feed()
    given["attention_mask"] = np.array([[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]])
    result = run_graph(path, given)["max_logits"]
    np.testing.assert_allclose(result[[0, 2]], (expected(given) + biases())[[0, 2]], atol=1e-5)
    assert (result[1] == -np.inf).all()


@pytest.mark.parametrize(
    ("bias", "opset"), [("computed", 17), ("shared", 17), ("after", 11)], ids=["computed", "shared", "old"]
)
def test_other_forms_of_a_bias_are_left_where_they_are(tmp_path: Path, bias: str, opset: int) -> None:
    path = reduced(logits_model(bias=bias, opset=opset), tmp_path)
    np.testing.assert_allclose(run_graph(path, feed())["max_logits"], expected(feed()) + biases(), atol=1e-5)
    assert "Min" in operators(path)


def test_a_product_of_another_domain_is_another_product(tmp_path: Path) -> None:
    model = logits_model(bias="after")
    function = onnx.helper.make_function(
        "com.unused",
        "MatMul",
        ["a", "b"],
        ["c"],
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        [helper.make_opsetid("", 17)],
    )
    model.functions.append(function)
    next(node for node in model.graph.node if node.op_type == "MatMul").domain = "com.unused"
    path = reduced(model, tmp_path)
    np.testing.assert_allclose(run_graph(path, feed())["max_logits"], expected(feed()) + biases(), atol=1e-5)
    assert "Min" in operators(path)


@pytest.mark.parametrize("numbers", [np.float32, np.float16])
@pytest.mark.parametrize(("opset", "bias"), [(11, ""), (17, ""), (18, ""), (17, "after"), (18, "after")])
def test_nan_of_any_token_is_not_passed_over(tmp_path: Path, opset: int, bias: str, numbers: Any) -> None:
    """ONNX Runtime's ``ReduceMax`` gives NaN only where it comes first."""
    model = logits_model(opset=opset, bias=bias, numbers=numbers)
    lost = words().astype(numbers)
    lost[7] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(lost, "words"))
    path = reduced(model, tmp_path)
    for place in range(6):
        given = feed()
        given["input_ids"][given["input_ids"] == 7] = 8
        given["attention_mask"][:] = 1
        given["input_ids"][1, place] = 7
        result = run_graph(path, given)["max_logits"]
        assert np.isnan(result[1]).all()
        assert np.isfinite(result[[0, 2]]).all()
    given["attention_mask"][1, 5] = 0  # the last place, so that the token is padding
    assert np.isfinite(run_graph(path, given)["max_logits"]).all()
