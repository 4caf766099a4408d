"""What the constructors made from options say of themselves, and of calls that do not fit."""

from __future__ import annotations

import inspect

import pytest

from onnxembed import M3Embedding, TextEmbedding
from onnxembed.errors import InputTypeError, ModelNotFoundError
from tests.core.api.test_asynchronous import CLASSES


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
def test_names_may_be_paths(owner: type) -> None:
    assert inspect.signature(owner).parameters["model_name"].annotation == "str | os.PathLike[str]"


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
def test_calls_that_do_not_fit_name_the_class_that_was_called(owner: type) -> None:
    with pytest.raises(InputTypeError, match=rf"^{owner.__name__}\(\) too many positional arguments$"):
        owner("name", None, None, None, "auto", None, True, False)
    with pytest.raises(InputTypeError, match=rf"^{owner.__name__}\(\) multiple values for argument 'model_name'$"):
        owner("name", model_name="name")
    if owner is not M3Embedding:  # its models are those of `TextEmbedding`
        with pytest.raises(InputTypeError, match=r"^add_custom_model\(\) missing a required argument: 'model'$"):
            owner.add_custom_model()  # type: ignore[attr-defined]


def test_a_folder_that_is_not_there_comes_before_an_unknown_name() -> None:
    with pytest.raises(ModelNotFoundError, match=r"^specific_model_path='/nowhere' is not a folder"):
        TextEmbedding("unknown", specific_model_path="/nowhere")
