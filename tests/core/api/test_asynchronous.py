"""Asynchronous twins: none is missing, and each has the signature of its elder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import onnxembed

CLASSES = (
    onnxembed.TextEmbedding,
    onnxembed.SparseTextEmbedding,
    onnxembed.LateInteractionTextEmbedding,
    onnxembed.TextCrossEncoder,
    onnxembed.ImageEmbedding,
    onnxembed.LateInteractionMultimodalEmbedding,
)


def methods_of(owner: type) -> dict[str, Callable[..., Any]]:
    """Public methods, class and static methods aside: they answer from what is in memory."""
    return {
        name: member
        for name, member in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_") and inspect.isfunction(inspect.getattr_static(owner, name)) and name != "run_async"
    }


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
def test_every_method_that_works_has_its_twin(owner: type) -> None:
    methods = methods_of(owner)
    elders = {name for name in methods if not (name.startswith("a") and name[1:] in methods)}
    assert elders
    for name in elders:
        twin = methods[f"a{name}"]
        ours, theirs = inspect.signature(methods[name]), inspect.signature(twin)
        assert theirs.parameters == ours.parameters, name
        if str(ours.return_annotation).startswith("Iterator["):
            assert theirs.return_annotation == f"Async{ours.return_annotation}", name
        else:
            assert theirs.return_annotation == ours.return_annotation, name
        assert f"Asynchronous twin of `{name}`." in inspect.getdoc(twin).splitlines()[0]  # type: ignore[union-attr]
