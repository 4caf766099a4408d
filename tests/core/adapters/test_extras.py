"""Without the optional packages every name can be imported, and an object says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from onnxembed.adapters.extras import load_class

ABSENT = ("qdrant_client", "langchain_qdrant", "langchain_milvus", "scipy")


def run(code: str, absent: tuple[str, ...] = ABSENT) -> str:
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({absent!r}))\n"
    done = subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", ["langchain_onnxembed", "llama_index.retrievers.onnxembed"])
def test_names_need_no_extras(package: str) -> None:
    code = f"""
import inspect
from onnxembed.errors import MissingExtraError
import {package} as package
from {package} import *
found = dict(inspect.getmembers(package))
assert all(hasattr(package, name) and name in found and name in globals() for name in package.__all__)
for name in ("OnnxLateInteractionRetriever", "OnnxSparseRetriever"):
    for make in (found[name], found[name].from_nodes):
        try:
            make(["a"], 1)
        except MissingExtraError as error:
            print(error)
"""
    told = run(code).splitlines()
    extra = "langchain-onnxembed" if package == "langchain_onnxembed" else "llama-index-onnxembed"
    assert len(told) == 4
    assert all(
        f'OnnxLateInteractionRetriever needs qdrant-client: pip install "{extra}[qdrant]"' in x for x in told[:2]
    )
    assert all(f'OnnxSparseRetriever needs SciPy: pip install "{extra}[retriever]"' in x for x in told[2:])


def test_one_extra_is_enough_for_its_class() -> None:
    code = """
from langchain_onnxembed import OnnxSparseRetriever
from llama_index.retrievers.onnxembed import OnnxSparseRetriever as Other
print(OnnxSparseRetriever.from_texts(["a violin"]).invoke("violin")[0].page_content, Other().similarity_top_k)
"""
    assert run(code, ABSENT[:-1]).split() == ["a", "violin", "2"]


def test_stand_ins_are_classes() -> None:
    missing = load_class("Absent", "no_such_package.module")
    assert (missing.__name__, missing.__module__) == ("Absent", "no_such_package.module")
    with pytest.raises(ImportError, match="no_such_package"):
        missing(1, two=3)
    with pytest.raises(ImportError, match="no_such_package"):
        missing.from_documents([])
    with pytest.raises(AttributeError):
        missing.other  # noqa: B018

    class Own(missing):  # type: ignore[misc, valid-type]
        pass

    with pytest.raises(ImportError, match="no_such_package"):
        Own()
