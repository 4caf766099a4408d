"""Where models are kept and how long a transfer may take, as the caller and the environment say it.

The environment is read at each call, so a variable set after an import counts. Nothing is created here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from onnxembed.errors import InputError
from onnxembed.hub.token import HubToken

_TRUE = frozenset({"1", "true", "yes", "on"})
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")

DEFAULT_REVISION = "main"
DEFAULT_ENDPOINT = "https://huggingface.co"
DEFAULT_READ_SECONDS = 30.0
OWN_FOLDER = "onnxembed"
STALL_BYTES = 1 << 16
"""Bytes that count as progress of a download: 1 KiB a second for a minute."""


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Bounds of everything that waits or grows.

    Whatever a server does, a download that makes no progress for the stall bound is given up.

    Attributes:
        read_seconds: Longest silence of a server in one request; ``None`` reads ``HF_HUB_DOWNLOAD_TIMEOUT``, else 30.
        attempts: Tries for one file; an attempt that brought ``progress_bytes`` starts the count again.
        progress_bytes: What counts as progress there.
        backoff_seconds: Pause after the first failure; it doubles each time, and there is none after the last.
        backoff_cap_seconds: Longest pause; a server that asks for a longer one gets no further request.
        stall_seconds: Longest time without progress, which is `STALL_BYTES` or another step; ``None`` is the longest
            silence once for every attempt.
        lock_seconds: Longest wait for another process that fetches the same model.
        recheck_seconds: How long a failed look for optional files is remembered.
        listing_bytes: Largest answer to a request for a list of files; real ones are below 1 MB.
        archive_bytes: Largest archive, and largest file of unknown size; embedding models are below 16 GiB.
        extracted_bytes: Largest content of an archive; weights hardly compress, so a little more than the archive.
        archive_members: Most files and folders in an archive; a model has some tens.
    """

    read_seconds: float | None = None
    attempts: int = 4
    progress_bytes: int = 1 << 20
    backoff_seconds: float = 1.0
    backoff_cap_seconds: float = 30.0
    stall_seconds: float | None = None
    lock_seconds: float = 3600.0
    recheck_seconds: float = 86400.0
    listing_bytes: int = 64 << 20
    archive_bytes: int = 16 << 30
    extracted_bytes: int = 20 << 30
    archive_members: int = 10_000

    @property
    def effective_read_seconds(self) -> float:
        """The read bound in force."""
        if self.read_seconds is not None:
            return self.read_seconds
        try:
            seconds = float(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT", ""))
        except ValueError:
            return DEFAULT_READ_SECONDS
        return seconds if 0 < seconds < float("inf") else DEFAULT_READ_SECONDS

    @property
    def effective_stall_seconds(self) -> float:
        """The stall bound in force."""
        if self.stall_seconds is not None:
            return self.stall_seconds
        return self.effective_read_seconds * self.attempts


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What a caller may say about where a model comes from.

    Attributes:
        cache_dir: The cache folder; ``None`` follows the environment.
        local_files_only: Whether requests are forbidden.
        revision: A branch, tag or commit of the Hub repository; ``None`` is its main branch.
        specific_model_path: A folder that holds the model; no other source is tried.
        limits: Bounds on time and size.
        token: The login for the Hub; ``None`` for the one that is set up. It decides no result.
        show_progress: Whether progress is shown; ``None`` for that of downloads, on a terminal. It decides none either.
    """

    cache_dir: str | None = None
    local_files_only: bool = False
    revision: str | None = None
    specific_model_path: str | None = None
    limits: TransferLimits = field(default_factory=TransferLimits)
    token: HubToken | None = field(default=None, compare=False)
    show_progress: bool | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.revision is not None and (_REVISION.fullmatch(self.revision) is None or ".." in self.revision):
            raise InputError(
                f"revision={self.revision!r} is not the name of a branch, a tag or a commit; "
                "pass something like 'main', 'v1.0', 'refs/pr/1' or a 40-digit commit hash"
            )

    @property
    def offline(self) -> bool:
        """Whether requests are forbidden, by the caller or by the environment."""
        value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
        return self.local_files_only or value.strip().lower() in _TRUE

    @property
    def offline_cause(self) -> str:
        """What forbids requests where they are forbidden, for messages."""
        return "local_files_only=True" if self.local_files_only else "HF_HUB_OFFLINE"

    @property
    def effective_revision(self) -> str:
        """The revision in force."""
        return self.revision or DEFAULT_REVISION


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser()


def _hub_cache() -> Path:
    """The standard Hub cache, by the same variables and in the same order as huggingface_hub reads them."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        value = os.environ.get(name)
        if value:
            return _expanded(value)
    home = os.environ.get("HF_HOME")
    if home:
        return _expanded(home) / "hub"
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def cache_root(settings: StoreSettings) -> Path:
    """The folder that holds every cached model, absolute; it may not exist yet.

    The first that is given wins: ``cache_dir``, ``ONNXEMBED_CACHE``, ``FASTEMBED_CACHE_PATH``, the standard Hub cache.
    """
    chosen = settings.cache_dir or os.environ.get("ONNXEMBED_CACHE") or os.environ.get("FASTEMBED_CACHE_PATH")
    return (_expanded(chosen) if chosen else _hub_cache()).absolute()


def own_folder(settings: StoreSettings) -> Path:
    """The part of the cache that only this package writes: links, archives, locks, marks, compiled graphs."""
    return cache_root(settings) / OWN_FOLDER


def hub_endpoint() -> str:
    """The address of the Hub, without a final slash."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
