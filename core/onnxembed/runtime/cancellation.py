"""A call whose awaiter is gone ends at its next batch: the word travels in a context variable."""

from __future__ import annotations

from contextvars import ContextVar

# Calls that were begun before the interpreter began to end are over; those of an ``atexit`` function begin after.
_epoch = 0


class CallCancelled(BaseException):
    """Ends a call that nobody awaits any more; no ``except Exception`` on its way may keep it going."""


class Call:
    """One asynchronous call, until its awaiter cancels it."""

    __slots__ = ("_cancelled", "_epoch")

    def __init__(self) -> None:
        self._cancelled = False
        self._epoch = _epoch

    def cancel(self) -> None:
        """Let the call's work stop where it next looks."""
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        """Whether the work is of use to nobody."""
        return self._cancelled or self._epoch != _epoch


current_call: ContextVar[Call | None] = ContextVar("onnxembed_call", default=None)


def checkpoint() -> None:
    """Stop here if the call was cancelled for which this is done; to be asked before whatever takes long."""
    call = current_call.get()
    if call is not None and call.cancelled:
        raise CallCancelled


def cancel_all() -> None:
    """Cancel every call that has begun: the interpreter ends."""
    global _epoch  # one per process
    _epoch += 1
