"""What the environment says: where the cache is, whether it can be written, and how the Hub is reached."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from onnxembed.care.finding import Finding
from onnxembed.errors import InputError
from onnxembed.hub.settings import StoreSettings, cache_root, hub_endpoint
from onnxembed.hub.shown import shown_address, shown_text

_LEAST_FREE_BYTES = 1 << 30
_CACHE_VARIABLES = (
    "ONNXEMBED_CACHE",
    "FASTEMBED_CACHE_PATH",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HOME",
    "XDG_CACHE_HOME",
)
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def examine_cache(cache_dir: str | os.PathLike[str] | None = None) -> Iterator[Finding]:
    """Say where models are kept, whether that can be written, and how much room there is. Nothing is made.

    Args:
        cache_dir: The folder; ``None`` for the one that the environment names.

    Yields:
        The place and the room.
    """
    try:
        root = cache_root(StoreSettings(cache_dir=None if cache_dir is None else os.fspath(cache_dir)))
    except RuntimeError as error:  # no home
        mend = "export ONNXEMBED_CACHE=/a/folder/that/can/be/written"
        yield Finding("cache", "folder", "none", f"there is no home folder ({error})", mend)
        return
    said_by = next((name for name in _CACHE_VARIABLES if os.environ.get(name)), "the standard place")
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    value = f"{root} ({'cache_dir' if cache_dir is not None else said_by})"
    if not place.is_dir():
        problem = f"{place} is no folder"
        yield Finding("cache", "folder", value, problem, "export ONNXEMBED_CACHE=/a/folder/that/can/be/written")
        return
    if not os.access(place, os.W_OK | os.X_OK):
        mend = f"sudo chown -R $(id -u) {place}, or export ONNXEMBED_CACHE=/a/folder/that/can/be/written"
        yield Finding("cache", "folder", value, f"{place} cannot be written by this user", mend)
    else:
        yield Finding("cache", "folder", value, note="" if root.is_dir() else "it is made with the first model")
    free = shutil.disk_usage(place).free
    low = free < _LEAST_FREE_BYTES
    problem = "less than 1 GB: most models do not fit" if low else ""
    yield Finding("cache", "room", f"{free / 1e9:,.1f} GB free", problem, "onnxembed cache prune" if low else "")


def examine_network(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Say how the Hub would be reached. No request is made, and no password shown.

    Args:
        environment: Where to look.

    Yields:
        The address, offline switches, proxies, certificates, and whether there is a login.
    """
    try:
        yield Finding("network", "hub", shown_address(hub_endpoint()))
    except InputError:
        problem = "HF_ENDPOINT is not the address of a Hub, so that nothing can be downloaded"
        yield Finding("network", "hub", _without_login(hub_endpoint()), problem, "unset HF_ENDPOINT")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if environment.get(name):
            yield Finding("network", name, environment[name], note="while it is on, nothing is downloaded")
    for name in _PROXIES:
        for variable in (name, name.lower()):
            if environment.get(variable):
                yield Finding("network", variable, _without_login(environment[variable]))
    if no_proxy := environment.get("NO_PROXY") or environment.get("no_proxy"):
        yield Finding("network", "NO_PROXY", no_proxy)
    yield from _certificates(environment)
    logins = [name for name in _TOKENS if environment.get(name)]
    yield Finding("network", "login", f"{logins[0]} is set (not shown)" if logins else "none in the environment")


def _certificates(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name in _CERTIFICATES:
        path = environment.get(name)
        if path and not Path(path).exists():
            yield Finding("network", name, path, "there is no such file, so that every download fails", f"unset {name}")
        elif path:
            yield Finding("network", name, path)


def _without_login(address: str) -> str:
    """An address of any scheme, or of none, without user, password and query."""
    scheme, separator, rest = address.rpartition("://")
    return shown_text(f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}")
