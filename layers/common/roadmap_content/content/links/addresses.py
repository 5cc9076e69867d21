"""The addresses that the link check may request: those of the public internet. No I/O."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_UNICAST = IPv6Network("2000::/3")
"""The only global unicast addresses. IPv4-mapped (`::ffff:…`), IPv4-compatible (`::…`) and NAT64
(`64:ff9b::…`) addresses, which lead to an IPv4 address, are outside.
"""

_SPECIAL = tuple(map(ip_network, ("192.88.99.0/24", "2002::/16", "2001::/23", "3fff::/20")))
"""6to4 and its relays, Teredo and other protocol assignments, which lead to an IPv4 address, too; addresses
for documentation, which older Python versions consider global.
"""


def is_public(address: str) -> bool:
    """Whether an address, in the notation of a resolver, belongs to a host of the public internet.

    Not public: private, loopback, link-local (the metadata service), shared, multicast, reserved and
    unspecified addresses, and IPv6 addresses that contain an IPv4 address.
    """
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed not in _UNICAST:
        return False
    special = any(parsed.version == network.version and parsed in network for network in _SPECIAL)
    return parsed.is_global and not parsed.is_multicast and not special
