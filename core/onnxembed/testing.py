"""Stand-ins for tests: a session that is a plain Python function.

    session = FakeSession(lambda feed: {"out": feed["input_ids"].astype("float32")}, outputs=("out",))

It has the surface of `onnxembed.runtime.session.Session`, so a family of models can be tested without ONNX Runtime.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Arrays = Mapping[str, np.ndarray[Any, Any]]


class FakeSession:
    """A session that computes with a function and remembers what it was fed.

    Attributes:
        providers: The providers it claims to run on.
        calls: The inputs of every run so far, in order.
    """

    providers: tuple[str, ...]
    calls: list[dict[str, np.ndarray[Any, Any]]]

    def __init__(
        self,
        compute: Callable[[Arrays], Arrays],
        outputs: Sequence[str],
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        """Remember the function.

        Args:
            compute: From inputs by name to outputs by name.
            outputs: Names of the outputs.
            providers: The providers to claim.
        """
        self._compute = compute
        self._lock = threading.Lock()
        self.outputs = tuple(outputs)
        self.providers = tuple(providers)
        self.calls = []

    def run(self, outputs: Sequence[str], feed: Arrays) -> list[np.ndarray[Any, Any]]:
        """Compute once; may be called by many threads.

        Args:
            outputs: Names of the outputs wanted.
            feed: The inputs.

        Returns:
            One array for each name.
        """
        with self._lock:
            self.calls.append(dict(feed))
        results = self._compute(feed)
        return [results[name] for name in outputs]
