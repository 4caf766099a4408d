"""Pickles that describe named tensors, read without running anything that a file asks for.

A pickle is a program for a small machine with a stack. This one knows the few steps, and the few names, of which
PyTorch makes a dictionary of tensors. Any other name or step ends the reading, so that nothing from a file is called.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxembed.errors import ModelError, UnsafeModelError

_DICTIONARY = "collections.OrderedDict"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
STORAGES: Mapping[str, str] = {
    "torch.DoubleStorage": "F64",
    "torch.FloatStorage": "F32",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
}
"""Names of the storages that are known, and the type of their numbers as safetensors calls it."""

_KNOWN = frozenset({_DICTIONARY, _TENSOR, _PARAMETER, *STORAGES})
_LONGEST = 10_000_000  # bytes of a pickle
_MOST_AXES = 32


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor whose bytes lie elsewhere.

    Attributes:
        dtype: The type of its numbers, a value of ``STORAGES``.
        key: The name of the bytes.
        count: Numbers that these bytes hold.
        offset: The first of them that is the tensor's.
        shape: Its shape; the numbers of the last axis lie side by side.
    """

    dtype: str
    key: str
    count: int
    offset: int
    shape: tuple[int, ...]


def read_pickle(content: bytes, where: str) -> dict[str, StoredTensor]:
    """Read a dictionary of tensors.

    Args:
        content: The pickle.
        where: Its path, for messages.

    Returns:
        The tensors by name.

    Raises:
        UnsafeModelError: It names anything but tensors, or takes a step that tensors do not need.
        ModelError: It is damaged, or is no dictionary of tensors.
    """
    if len(content) > _LONGEST:
        raise ModelError(f"{where} takes {len(content)} bytes to describe its tensors, more than {_LONGEST}")
    try:
        result = _Machine(content, where).run()
    except (IndexError, struct.error, UnicodeDecodeError, KeyError, _Unfit) as error:
        raise ModelError(
            f"{where} is a damaged pickle ({type(error).__name__}: {error!s:.100}); fetch the file again"
        ) from None
    if type(result) is not dict or not all(isinstance(value, StoredTensor) for value in result.values()):
        raise ModelError(f"{where} holds no dictionary of tensors; save a state_dict() of plain tensors")
    return result


class _Unfit(Exception):  # noqa: N818  # never leaves this module
    """A step that does not fit what is on the stack."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that the pickle asks for; it is only compared."""

    text: str


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: str
    key: str
    count: int


_MARK = object()


@dataclass(slots=True)
class _Machine:
    """Stack, memory and place of a pickle that is being read."""

    content: bytes
    where: str
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    memory: dict[int, Any] = field(default_factory=dict)

    def run(self) -> object:
        while True:
            code = self._take(1)
            if code == b".":
                return self.stack[-1]
            step = _STEPS.get(code)
            if step is None:
                raise UnsafeModelError(
                    f"{self.where}: the pickle takes the step {code!r} at byte {self.at - 1}, which tensors do not "
                    "need. It is not read: use safetensors files, or a file that holds tensors alone"
                )
            step(self)

    def push(self, value: object) -> None:
        self.stack.append(value)

    def _take(self, count: int) -> bytes:
        taken = self.content[self.at : self.at + count]
        if len(taken) < count:
            raise _Unfit("it ends too early")
        self.at += count
        return taken

    def number(self, form: str) -> int:
        found: int
        (found,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return found

    def protocol(self) -> None:
        self._take(1)

    def text(self) -> None:
        self.push(str(self._take(self.number("<I")), "utf-8"))

    def long(self) -> None:
        self.push(int.from_bytes(self._take(self.number("<B")), "little", signed=True))

    def name(self) -> None:
        parts = []
        for _ in range(2):
            end = self.content.find(b"\n", self.at)
            if end < 0:
                raise _Unfit("a name without an end")
            parts.append(str(self._take(end - self.at), "utf-8"))
            self.at += 1
        text = ".".join(parts)
        if text not in _KNOWN:
            raise UnsafeModelError(
                f"{self.where}: the pickle asks for {text!r:.200}, which is no tensor; known here are "
                f"{', '.join(sorted(_KNOWN))}. It is not called: use safetensors files, or a file that holds tensors "
                "alone"
            )
        self.push(_Name(text))

    def store(self, form: str) -> None:
        self.memory[self.number(form)] = self.stack[-1]

    def fetch(self, form: str) -> None:
        self.push(self.memory[self.number(form)])

    def above_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                taken = self.stack[place + 1 :]
                del self.stack[place:]
                return taken
        raise _Unfit("no mark")

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise _Unfit("too few values")
        taken = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.push(taken)

    def marked_tuple(self) -> None:
        self.push(tuple(self.above_mark()))

    def set_items(self) -> None:
        self._set(self.above_mark())

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        # Keys are texts alone: the hash of nested tuples can take for ever.
        if type(target) is not dict or len(items) % 2 or not all(type(key) is str for key in items[::2]):
            raise _Unfit("entries that fit no dictionary")
        target.update(zip(items[::2], items[1::2], strict=True))

    def persistent(self) -> None:
        """Name the bytes of a tensor."""
        match self.stack.pop():
            case ("storage", _Name(text=kind), str() as key, str(), int() as count) if kind in STORAGES:
                self.push(_Storage(STORAGES[kind], key, count))
            case _:
                raise _Unfit("something else than a storage")

    def reduce(self) -> None:
        """What would call a function: only a dictionary, a tensor and a parameter are made."""
        arguments, function = self.stack.pop(), self.stack.pop()
        match function, arguments:
            case _Name(text="collections.OrderedDict"), ():
                self.push({})
            case _Name(text="torch._utils._rebuild_tensor_v2"), (
                _Storage() as storage,
                int() as offset,
                tuple() as shape,
                tuple() as strides,
                *_,
            ):
                self.push(_tensor(storage, offset, shape, strides))
            case _Name(text="torch._utils._rebuild_parameter"), (StoredTensor() as tensor, *_):
                self.push(tensor)
            case _:
                raise _Unfit("a call that makes no tensor")

    def build(self) -> None:
        """Give an object further attributes; of a dictionary of tensors, the versions of its modules."""
        state = self.stack.pop()
        if type(state) is not dict or set(state) - {"_metadata"} or type(self.stack[-1]) is not dict:
            raise _Unfit("attributes that tensors do not have")


def _tensor(storage: _Storage, offset: int, shape: tuple[Any, ...], strides: tuple[Any, ...]) -> StoredTensor:
    numbers = (offset, *shape, *strides)
    sound = all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
    if not sound or not all(shape) or not len(shape) == len(strides) <= _MOST_AXES:
        raise _Unfit("a shape that is none, or empty")
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            raise _Unfit("a tensor whose numbers do not lie in their order; save it with .contiguous()")
        expected *= size
    if offset + expected > storage.count:
        raise _Unfit(f"a tensor of {expected} numbers in a storage of {storage.count}")
    return StoredTensor(storage.dtype, storage.key, storage.count, offset, shape)


_STEPS: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.protocol,
    b"(": lambda machine: machine.push(_MARK),
    b")": lambda machine: machine.push(()),
    b"}": lambda machine: machine.push({}),
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b"K": lambda machine: machine.push(machine.number("<B")),
    b"M": lambda machine: machine.push(machine.number("<H")),
    b"J": lambda machine: machine.push(machine.number("<i")),
    b"\x8a": _Machine.long,
    b"X": _Machine.text,
    b"c": _Machine.name,
    b"q": lambda machine: machine.store("<B"),
    b"r": lambda machine: machine.store("<I"),
    b"h": lambda machine: machine.fetch("<B"),
    b"j": lambda machine: machine.fetch("<I"),
    b"t": _Machine.marked_tuple,
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"s": _Machine.set_item,
    b"u": _Machine.set_items,
    b"Q": _Machine.persistent,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}
"""The steps that a dictionary of tensors takes, by their code in the pickle's format (protocol 2)."""
