"""Hypothesis strategies for what goes over the wire."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from hairpin.stun import Address, Attribute

transactions = st.binary(min_size=12, max_size=12)
ports = st.integers(0, 65535)
ips = st.builds(str, st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
addresses = st.tuples(ips, ports)
texts = st.text(st.characters(codec="utf-8"), max_size=127)
numbers = st.integers(0, 2**32 - 1)

VALUES = {
    Attribute.USERNAME: texts,
    Attribute.REALM: texts,
    Attribute.NONCE: texts,
    Attribute.SOFTWARE: texts,
    Attribute.ERROR_CODE: st.tuples(st.integers(300, 699), texts),
    Attribute.UNKNOWN_ATTRIBUTES: st.lists(st.integers(0, 65535), max_size=20).map(tuple),
    Attribute.CHANNEL_NUMBER: st.integers(0, 65535),
    Attribute.LIFETIME: numbers,
    Attribute.CONNECTION_ID: numbers,
    Attribute.DATA: st.binary(max_size=1500),
    Attribute.REQUESTED_TRANSPORT: st.integers(0, 255),
    Attribute.REQUESTED_ADDRESS_FAMILY: st.integers(0, 255),
} | dict.fromkeys(
    (
        Attribute.MAPPED_ADDRESS,
        Attribute.XOR_PEER_ADDRESS,
        Attribute.XOR_RELAYED_ADDRESS,
        Attribute.XOR_MAPPED_ADDRESS,
        Attribute.ALTERNATE_SERVER,
    ),
    addresses.map(lambda endpoint: Address(*endpoint)),
)
attributes = st.sampled_from(sorted(VALUES)).flatmap(lambda code: st.tuples(st.just(code), VALUES[code]))
attribute_lists = st.lists(attributes, max_size=8, unique_by=lambda attribute: attribute[0])
