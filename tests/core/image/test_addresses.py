"""Addresses that lead nowhere but into private networks, by a table of our own."""

from __future__ import annotations

import ipaddress
import random

import pytest

from onnxembed.image.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        "192.0.0.192", "192.0.0.8", "192.0.0.170", "192.88.99.1", "192.88.99.255", "198.19.255.255", "100.127.255.255",
        "3fff::1", "3fff:fff:ffff::1", "2001::1", "2001:1ff::1", "2001:20::1", "5f00::1", "64:ff9b:1::1", "100::1",
        "4000::1", "2002:c000:c0::1", "64:ff9b::192.0.0.192", "::ffff:192.0.0.192", "::192.0.0.192", "::8.8.8.8",
        # ISATAP, whatever the prefix and the address inside
        "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:10.0.0.1", "2606:4700::5efe:8.8.8.8", "fe80::5efe:127.0.0.1",
    ],
)  # fmt: skip
def test_special_blocks(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["192.0.1.1", "192.88.98.1", "192.88.100.1", "198.20.0.1", "223.255.255.255", "2000::1", "3ffe::1"]
)
def test_neighbours_of_special_blocks(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_nothing_is_public_that_the_library_calls_private() -> None:
    draw = random.Random(5)
    for _ in range(20_000):
        four = ipaddress.IPv4Address(draw.getrandbits(32))
        six = ipaddress.IPv6Address(draw.getrandbits(128) >> draw.choice((0, 3, 3, 64)) | draw.choice((0, 1 << 125)))
        for address in (four, six):
            if not address.is_global or address.is_multicast:
                assert not is_public(address), address
