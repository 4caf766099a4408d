"""The catalogue of image models: its facts, and how strictly its file is read."""

from __future__ import annotations

import pytest

from onnxembed import ImageEmbedding
from onnxembed.catalog.reader import read_models
from onnxembed.errors import InputError
from onnxembed.hub.folder import specified_files
from onnxembed.image.known import describe_image, image_registry
from onnxembed.image.spec import ImageModel, vector_width
from onnxembed.spec import ModelSource, PoolingType
from onnxembed.text.known import dense_registry

# Name, repository, file, dim, licence, GB, pooling, output, text half.
FACTS: list[tuple[object, ...]] = [
    ("Qdrant/clip-ViT-B-32-vision", "Qdrant/clip-ViT-B-32-vision", "model.onnx", 512, "mit", 0.34, "DISABLED", 0,
     "Qdrant/clip-ViT-B-32-text"),
    ("Qdrant/resnet50-onnx", "Qdrant/resnet50-onnx", "model.onnx", 2048, "apache-2.0", 0.1, "DISABLED", 0, None),
    ("Qdrant/Unicom-ViT-B-16", "Qdrant/Unicom-ViT-B-16", "model.onnx", 768, "mit", 0.82, "DISABLED", 0, None),
    ("Qdrant/Unicom-ViT-B-32", "Qdrant/Unicom-ViT-B-32", "model.onnx", 512, "mit", 0.48, "DISABLED", 0, None),
    ("jinaai/jina-clip-v1", "jinaai/jina-clip-v1", "onnx/vision_model.onnx", 768, "apache-2.0", 0.34, "DISABLED", 0,
     "jinaai/jina-clip-v1"),
    ("nomic-ai/nomic-embed-vision-v1.5", "nomic-ai/nomic-embed-vision-v1.5", "onnx/model.onnx", 768, "apache-2.0",
     0.37, "CLS", 0, "nomic-ai/nomic-embed-text-v1.5"),
    ("nomic-ai/nomic-embed-vision-v1.5-Q", "nomic-ai/nomic-embed-vision-v1.5", "onnx/model_quantized.onnx", 768,
     "apache-2.0", 0.1, "CLS", 0, "nomic-ai/nomic-embed-text-v1.5-Q"),
    ("google/siglip2-base-patch16-224", "onnx-community/siglip2-base-patch16-224-ONNX", "onnx/vision_model.onnx", 768,
     "apache-2.0", 0.37, "DISABLED", "pooler_output", "google/siglip2-base-patch16-224"),
]  # fmt: skip
ROW = """[[model]]
name = "org/name"
sources = [{ hf = "org/name-onnx" }]
model_file = "model.onnx"
dim = 8
pooling = "CLS"
normalize = true
license = "mit"
size_in_gb = 0.5
description = "One for tests."
"""


@pytest.mark.parametrize("number", range(len(FACTS)))
def test_facts(number: int) -> None:
    model = image_registry.catalogue()[number]
    assert len(image_registry.catalogue()) == len(FACTS)
    stored = (model.name, model.sources[0].hf, model.model_file, model.dim, model.license, model.size_in_gb)
    assert (*stored, model.pooling.value, model.output, model.text_model) == FACTS[number]
    assert model.normalize
    assert model.recipe is None
    assert model.description.endswith(".")
    assert model.additional_files == ()


def test_text_halves_are_dense_models_of_the_same_width() -> None:
    dense = {model.name: model.dim for model in dense_registry.catalogue()}
    halves = {model.text_model: model.dim for model in image_registry.catalogue() if model.text_model}
    assert len(halves) == 5
    assert halves == {name: dense[str(name)] for name in halves}


def test_files_beside_the_graph_are_those_of_the_processor_not_of_a_tokenizer() -> None:
    assert specified_files(image_registry.catalogue()[4]) == ("onnx/vision_model.onnx", "preprocessor_config.json")
    assert specified_files(dense_registry.catalogue()[0])[-1] == "tokenizer.json"


def test_row_without_options() -> None:
    (model,) = read_models(ImageModel, ROW.encode(), "rows.toml")
    assert model == ImageModel(
        name="org/name",
        sources=(ModelSource(hf="org/name-onnx"),),
        dim=8,
        pooling=PoolingType.CLS,
        license="mit",
        size_in_gb=0.5,
        description="One for tests.",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dim = 8", "dim = 0", "'dim': 0 is no length"),
        ('pooling = "CLS"', 'pooling = "LAST_TOKEN"', "'LAST_TOKEN' is none of CLS, MEAN, DISABLED"),
        ("dim = 8", "dim = 8\nmax_tokens = 3", "'max_tokens': unknown"),
        ("normalize = true", 'normalize = "yes"', "'normalize': 'yes' is a str"),
        ("dim = 8", "dim = 8\noutput = true", "'output': True is a bool"),
        ('license = "mit"', 'license = ""', "'license': empty"),
    ],
)
def test_slip_of_the_pen_is_an_error(old: str, new: str, message: str) -> None:
    assert old in ROW
    with pytest.raises(InputError, match=message) as caught:
        read_models(ImageModel, ROW.replace(old, new).encode(), "rows.toml")
    assert "row 1 ('org/name')" in str(caught.value)


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="'org/name' has it already"):
        read_models(ImageModel, (ROW + ROW.replace("org/name", "ORG/name")).encode(), "rows.toml")


def test_description_is_plain_data() -> None:
    told = describe_image(image_registry.find("google/SIGLIP2-base-patch16-224"))
    assert told == {
        "model": "google/siglip2-base-patch16-224",
        "sources": {"hf": "onnx-community/siglip2-base-patch16-224-ONNX", "url": None, "package": None},
        "model_file": "onnx/vision_model.onnx",
        "description": "The image side of SigLIP 2, in one space with its multilingual text side; 2025.",
        "license": "apache-2.0",
        "size_in_GB": 0.37,
        "additional_files": [],
        "dim": 768,
        "pooling": "DISABLED",
        "normalize": True,
        "text_model": "google/siglip2-base-patch16-224",
    }


@pytest.mark.parametrize(
    ("shape", "pooling", "width"),
    [
        (("batch", 512), PoolingType.DISABLED, 512),
        (("batch", 2048, 1, 1), PoolingType.DISABLED, 2048),
        (("batch", 2048, 7, 7), PoolingType.MEAN, 2048),
        (("batch", 197, 768), PoolingType.CLS, 768),
        ((None, "patches", 768), PoolingType.MEAN, 768),
        (("batch", 768), PoolingType.CLS, 768),
        (("batch", None), PoolingType.DISABLED, None),
        (("batch",), PoolingType.DISABLED, None),
        (None, PoolingType.CLS, None),
    ],
)
def test_width_of_a_vector(shape: tuple[int | str | None, ...] | None, pooling: PoolingType, width: int | None) -> None:
    assert vector_width(shape, pooling) == width


def test_the_image_half_of_a_text_model() -> None:
    assert ImageEmbedding.image_half("qdrant/CLIP-ViT-B-32-text") == "Qdrant/clip-ViT-B-32-vision"
    assert ImageEmbedding.image_half("Qdrant/clip-ViT-B-32-text", "a/folder") == "a/folder"
    assert ImageEmbedding.image_half("a/folder", "Qdrant/clip-ViT-B-32-vision") == "Qdrant/clip-ViT-B-32-vision"
    with pytest.raises(InputError, match=r"no image model is known to belong to the text model 'thenlper/gte-base'"):
        ImageEmbedding.image_half("thenlper/gte-base")
    with pytest.raises(InputError, match=r"belongs to the text model 'Qdrant/clip-ViT-B-32-text', not 'jinaai"):
        ImageEmbedding.image_half("jinaai/jina-clip-v1", "Qdrant/clip-ViT-B-32-vision")
