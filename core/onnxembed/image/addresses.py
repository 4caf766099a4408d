"""Which network addresses belong to the public internet.

The special blocks stand here, from the registries of special-purpose addresses that IANA keeps (RFC 6890 and its
updates), since what Python's ``ipaddress`` knows of them depends on its version.
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SPECIAL_IPV4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by a provider's customers
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, metadata services among it
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments, metadata services among them
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays to 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
# Everything outside is special, or not assigned.
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo, benchmarking and identifiers among them
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_6TO4 = ipaddress.IPv6Network("2002::/16")
# The last 64 bits of an address of a tunnel inside a site (ISATAP) begin with one of these, an IPv4 address follows.
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_public(address: Address) -> bool:
    """Say whether an address belongs to the public internet.

    IPv6 forms that carry an IPv4 address (mapped, translated, 6to4) are as public as that; Teredo and ISATAP addresses,
    which lead through tunnels, are not.

    Args:
        address: Any address.

    Returns:
        False for private, loopback, link-local, multicast, reserved, shared, documentation and unspecified addresses.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _SPECIAL_IPV4)
    number = int(address)
    if address in _MAPPED or address in _TRANSLATED:
        return is_public(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    if address in _6TO4:
        return is_public(ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF))
    return address in _GLOBAL_IPV6 and not any(address in block for block in _SPECIAL_IPV6)
