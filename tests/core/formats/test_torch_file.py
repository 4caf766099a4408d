from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed.errors import ModelError, UnsafeModelError
from onnxembed.formats.torch_file import read_torch_file
from tests.fixtures.torch_files import (
    ORDERED,
    REBUILD,
    archive,
    dictionary,
    number,
    rebuilt,
    storage,
    text,
    torch_file,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "linear.pt"
_FOUR = storage(b"Float", "0", 4)
_SOUND = dictionary({"a": rebuilt(_FOUR, (2, 2), (2, 1))})


def written(folder: Path, content: bytes) -> Path:
    path = folder / "head.pt"
    path.write_bytes(content)
    return path


def test_reads_what_torch_wrote() -> None:
    tensors = read_torch_file(GOLDEN)
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        "weight": np.float16,
        "bias": np.float16,
        "wide": np.float32,
    }
    assert tensors["weight"].tolist() == [[0, 0.125, 0.25], [0.375, 0.5, 0.625]]
    assert tensors["bias"].tolist() == tensors["wide"].tolist() == [-1.5, 0.25]


def test_reads_tensors_that_share_bytes(tmp_path: Path) -> None:
    content = archive(
        {
            "data.pkl": dictionary(
                {"a": rebuilt(_FOUR, (2, 2), (2, 1)), "b": rebuilt(_FOUR, (1, 2), (9, 1), offset=1)}
            ),
            "data/0": np.arange(4, dtype=np.float32).tobytes(),
        }
    )
    tensors = read_torch_file(written(tmp_path, content))
    assert tensors["a"].tolist() == [[0, 1], [2, 3]]
    assert tensors["b"].tolist() == [[1, 2]]


def test_fixture_is_read_as_given(tmp_path: Path) -> None:
    given: dict[str, NDArray[np.floating]] = {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "bias": np.array([0.5], np.float16),
    }
    tensors = read_torch_file(written(tmp_path, torch_file(given)))
    assert {name: (tensor.dtype, tensor.tolist()) for name, tensor in tensors.items()} == {
        name: (tensor.dtype, tensor.tolist()) for name, tensor in given.items()
    }


def pickled(content: bytes) -> bytes:
    return archive({"data.pkl": content})


def tensor_a(made: bytes) -> bytes:
    return archive({"data.pkl": dictionary({"a": made}), "data/0": bytes(16)})


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


_DEEP = b")" + b"\x85" * 100_000
_DOUBLING = b")" + b"q\x00h\x00\x86" * 200  # each tuple holds the last one twice

UNSAFE: dict[str, tuple[bytes, str]] = {
    "a pickle that runs code": (pickle.dumps(_Runs()), "no archive of tensors"),
    "an old file": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "no archive of tensors"),
    "a global outside tensors": (
        pickled(b"\x80\x02cos\nsystem\n" + text("true") + b"\x85R."),
        "os.system",
    ),
    "code of today's protocol": (pickled(pickle.dumps(_Runs(), protocol=4)), "takes the step"),
    "code of the protocol that is read": (pickled(pickle.dumps(_Runs(), protocol=2)), "asks for"),
    "a name in the same module": (
        pickled(b"\x80\x02ctorch._utils\n_rebuild_qtensor\n."),
        "_rebuild_qtensor",
    ),
    "an unknown storage": (pickled(b"\x80\x02ctorch\nLongStorage\n."), "torch.LongStorage"),
    "an instance": (pickled(b"\x80\x02(ios\nsystem\n."), r"the step b'i' at byte 3"),
    "an object": (pickled(b"\x80\x02" + ORDERED + b")\x81."), "the step"),
    "a list": (pickled(b"\x80\x02]."), "the step"),
}

DAMAGED: dict[str, tuple[bytes, str]] = {
    "an archive cut short": (torch_file({"a": np.zeros(3, np.float32)})[:-30], "no list of its entries"),
    "no pickle": (archive({"other": b""}), "holds 0 entries data.pkl"),
    "two pickles": (pickled(b".") + archive({"data.pkl": b"."}, root="b"), "is not a valid|is a damaged"),
    "compressed": (archive({"data.pkl": bytes(9999)}, method=zipfile.ZIP_DEFLATED), "compressed or encrypted"),
    "an empty pickle": (pickled(b""), "ends too early"),
    "nothing on the stack": (pickled(b"\x80\x02."), "damaged pickle"),
    "a text that ends too early": (pickled(b"X\xff\xff\xff\xff"), "ends too early"),
    "a name without an end": (pickled(b"ctorch"), "without an end"),
    "memory that is empty": (pickled(b"h\x05."), "damaged pickle"),
    "tuples a hundred thousand deep": (pickled(_DEEP + b"."), "no dictionary of tensors"),
    "a key that takes for ever": (pickled(ORDERED + _DOUBLING + b"Ns."), "fit no dictionary"),
    "a dictionary of numbers": (tensor_a(number(1)), "no dictionary of tensors"),
    "a dictionary in itself": (pickled(ORDERED + b"q\0" + text("a") + b"h\0s."), "no dictionary of"),
    "other attributes": (pickled(ORDERED + b"}" + text("__class__") + b"Nsb."), "do not have"),
    "bytes that are not there": (pickled(_SOUND), "lacks the bytes of 'a'"),
    "too few bytes": (archive({"data.pkl": _SOUND, "data/0": bytes(12)}), "are 12, where 4 numbers of F32 take 16"),
    "a byte order of others": (archive({"data.pkl": _SOUND, "byteorder": b"big"}), "byte order b'big'"),
    "more numbers than there are": (
        tensor_a(rebuilt(_FOUR, (2, 3), (3, 1))),
        "6 numbers in a storage of 4",
    ),
    "an offset beyond the end": (
        tensor_a(rebuilt(_FOUR, (2,), (1,), offset=3)),
        "2 numbers in a storage of 4",
    ),
    "one number repeated": (
        tensor_a(rebuilt(_FOUR, (1 << 40,), (0,))),
        "do not lie in their order",
    ),
    "a shape that overflows": (
        tensor_a(rebuilt(_FOUR, (1 << 62, 1 << 62), (1 << 62, 1))),
        "in a storage of 4",
    ),
    "an empty shape that overflows": (
        tensor_a(rebuilt(_FOUR, (0, 1 << 62), (1 << 62, 1))),
        "none, or empty",
    ),
    "a storage of lies": (
        tensor_a(rebuilt(storage(b"Float", "0", 1 << 40), (4,), (1,))),
        "are 16, where 1099511627776 numbers",
    ),
    "a call with other arguments": (pickled(REBUILD + b")R."), "makes no tensor"),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_refuses_what_is_no_tensor(name: str, tmp_path: Path) -> None:
    content, message = UNSAFE[name]
    with pytest.raises(UnsafeModelError, match=message):
        read_torch_file(written(tmp_path, content))


@pytest.mark.parametrize("name", DAMAGED)
def test_refuses_damage(name: str, tmp_path: Path) -> None:
    content, message = DAMAGED[name]
    with pytest.raises(ModelError, match=message) as caught:
        read_torch_file(written(tmp_path, content))
    assert "head.pt" in str(caught.value)


def test_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_torch_file(tmp_path / "head.pt")


def test_bytes_may_be_wrong(tmp_path: Path) -> None:
    whole = torch_file({"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, np.float32)})
    outcomes = set()
    for place in range(0, len(whole), 2):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        try:
            read_torch_file(written(tmp_path, bytes(changed)))
        except ModelError:
            outcomes.add("refused")
        else:
            outcomes.add("read")
    assert outcomes == {"refused", "read"}
