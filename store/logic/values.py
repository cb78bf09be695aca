"""Values of detection logic: how two of them are compared.

Every comparison answers True, False, or None where the documentation leaves it open.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

Verdict = bool | None
"""None when the documentation does not say."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PLATFORMS: dict[str, int] = {
    "crowdstrike": 0x01000000, "xml": 0x02000000, "wel": 0x03000000, "msdefender": 0x04000000,
    "duo": 0x05000000, "okta": 0x06000000, "sentinel_one": 0x07000000, "github": 0x08000000,
    "slack": 0x09000000, "cef": 0x0A000000, "lc_event": 0x0B000000, "azure_ad": 0x0C000000,
    "azure_monitor": 0x0D000000, "canary_token": 0x0E000000, "guard_duty": 0x0F000000,
    "itglue": 0x11000000, "k8s_pods": 0x12000000, "zeek": 0x13000000, "mac_unified_logging": 0x14000000,
    "azure_event_hub_namespace": 0x15000000, "azure_key_vault": 0x16000000,
    "azure_kubernetes_service": 0x17000000, "azure_network_security_group": 0x18000000,
    "azure_sql_audit": 0x19000000, "email": 0x1A000000, "fortigate": 0x1B000000,
    "trend_worryfree": 0x1C000000, "netscaler": 0x1D000000, "paloalto_fw": 0x1E000000, "iis": 0x1F000000,
    "hubspot": 0x21000000, "zendesk": 0x22000000, "pandadoc": 0x23000000, "falconcloud": 0x24000000,
    "mimecast": 0x25000000, "sublime": 0x26000000, "box": 0x27000000, "cylance": 0x28000000,
    "proofpoint": 0x29000000, "entraid": 0x2A000000, "wiz": 0x2B000000, "bitwarden": 0x2C000000,
    "trend_micro": 0x2D000000,
    "windows": 0x10000000, "linux": 0x20000000, "macos": 0x30000000, "ios": 0x40000000,
    "android": 0x50000000, "chrome": 0x60000000, "vpn": 0x70000000, "text": 0x80000000,
    "json": 0x90000000, "gcp": 0xA0000000, "aws": 0xB0000000, "carbon_black": 0xC0000000,
    "1password": 0xD0000000, "office365": 0xE0000000, "sophos": 0xF0000000,
}  # fmt: skip
"""Codes of the id schema by API name. They are compared whole: 0x11000000 is a platform of its own."""

_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "0.0.0.0/32"),
        *("::1/128", "fe80::/10", "ff00::/8", "fec0::/10", "::/128"),
    )
)
_UNLISTED = tuple(map(ipaddress.ip_network, ("240.0.0.0/4", "0.0.0.0/8")))
"""Neither in the documentation's list of what is not public, nor surely public."""

_MAPPED = 96
"""Bits before an IPv4 address that is mapped into IPv6."""

_LARGEST = 2**63 - 1


def some(verdicts: Iterable[Verdict]) -> Verdict:
    """`or`: one that is true decides, then one that is open."""
    answer: Verdict = False
    for verdict in verdicts:
        if verdict:
            return True
        if verdict is None:
            answer = None
    return answer


def agreed(verdicts: Iterable[Verdict]) -> Verdict:
    """What several readings say alike; None where they differ."""
    found = set(verdicts)
    return found.pop() if len(found) == 1 else None


# Text


def lowered(text: str) -> str:
    """A text in lower case, letter by letter, as Go's `strings.ToLower` makes it."""
    if text.isascii():
        return text.lower()
    return "".join(
        "i" if letter == "\u0130" else low if len(low := letter.lower()) == 1 else letter for letter in text
    )


def folded(text: str) -> str:
    """A text under simple case folding, as Go's `strings.EqualFold` compares: no letter becomes two."""
    if text.isascii():
        return text.lower()
    return "".join(map(_folded, text))


@lru_cache(maxsize=4096)
def _folded(letter: str) -> str:
    fold = letter.casefold()
    if len(fold) == 1:
        return fold
    low = letter.lower()
    return low if len(low) == 1 else letter


def file_name(text: str) -> str:
    r"""What follows the last `\` or `/`."""
    return text[max(text.rfind("\\"), text.rfind("/")) + 1 :]


def labels(spec: str) -> Callable[[str], list[str]] | None:
    """What a `sub domain` takes of a name: a label, a slice of them, or each; None when it is none."""
    match = re.fullmatch(r"(-?\d{1,6})?(:?)(-?\d{1,6})?", spec, re.ASCII)
    if match is None or (not match[2] and (match[1] is None or match[3] is not None)):
        return None
    first = None if match[1] is None else int(match[1])
    last = None if match[3] is None else int(match[3])

    def one(text: str) -> list[str]:
        parts, place = text.split("."), first or 0
        return [parts[place]] if -len(parts) <= place < len(parts) else []

    def piece(text: str) -> list[str]:
        chosen = text.split(".")[first:last]
        return [".".join(chosen)] if chosen else []

    if not match[2]:
        return one
    return piece if first is not None or last is not None else lambda text: text.split(".")


def occurs(text: str, wanted: str, count: int) -> Verdict:
    """Whether one text holds another at least so many times; None where it hangs on overlapping."""
    if not wanted:
        return None
    if count == 1:
        return wanted in text
    plain = text.count(wanted)
    if plain >= count:
        return True
    overlapping, place = 0, text.find(wanted)
    while place >= 0 and overlapping < count:
        overlapping += 1
        place = text.find(wanted, place + 1)
    return None if overlapping >= count else False


def near(text: str, wanted: str, most: int) -> bool:
    """Whether so many insertions, deletions and replacements at most make one text of another."""
    if abs(len(text) - len(wanted)) > most:
        return False
    if text == wanted or most >= max(len(text), len(wanted)):
        return True
    # What both begin and end with costs nothing.
    end, shorter = 0, min(len(text), len(wanted))
    begin = next((place for place in range(shorter) if text[place] != wanted[place]), shorter)
    while end < shorter - begin and text[-1 - end] == wanted[-1 - end]:
        end += 1
    text, wanted = text[begin : len(text) - end], wanted[begin : len(wanted) - end]
    width, far = len(wanted), most + 1
    before = list(range(width + 1))
    for row, letter in enumerate(text, 1):
        current = [far] * (width + 1)
        current[0] = lowest = row
        # Nothing outside of this band can come back below `most`.
        for column in range(max(1, row - most), min(width, row + most) + 1):
            cost = before[column - 1] + (letter != wanted[column - 1])
            cost = current[column] = min(before[column] + 1, current[column - 1] + 1, cost)
            lowest = min(lowest, cost)
        if lowest > most:
            return False
        before = current
    return before[-1] <= most


# Numbers


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_odd(value: float) -> bool:
    """The documentation says nothing of negative numbers, nor of those beyond 63 bits."""
    return value < 0 or value > _LARGEST or value != value


def could_be_number(text: str) -> bool:
    """Whether something may read a text as a number."""
    if len(text) > 400:
        return False
    try:
        float(text)
    except ValueError:
        try:
            int(text, 0)
        except ValueError:
            return False
    return True


def _maybe_number(value: Any) -> bool:
    return could_be_number(value) if isinstance(value, str) else _is_number(value)


def equal(actual: Any, wanted: Any) -> Verdict:
    """Whether two values are the same; text, numbers and booleans are never the same as each other."""
    if isinstance(actual, str) and isinstance(wanted, str):
        return actual == wanted
    if _is_number(actual) and _is_number(wanted):
        if _is_odd(actual) or _is_odd(wanted):
            return None
        if isinstance(actual, float) is isinstance(wanted, float):
            return bool(actual == wanted)
        # Whole against fractional: the same, and cut to the same whole, are both open.
        return None if abs(actual - wanted) < 1 else False
    if isinstance(actual, bool) and isinstance(wanted, bool):
        return actual is wanted
    if actual is None and wanted is None:
        return None
    if isinstance(actual, dict | list) and isinstance(wanted, dict | list):
        return None if actual == wanted else False
    return False


def greater(actual: Any, wanted: Any) -> Verdict:
    """Whether a number is greater than another; None for a number against text that could be one."""
    if _is_number(actual) and _is_number(wanted):
        return None if _is_odd(actual) or _is_odd(wanted) else bool(actual > wanted)
    if not (isinstance(actual, str) or isinstance(wanted, str)):
        return False
    return None if _maybe_number(actual) and _maybe_number(wanted) else False


def longer(actual: Any, wanted: Any, *, lower: bool) -> Verdict:
    """Whether the length of a text, list or object is greater (lower) than a number.

    Whether text is measured in bytes or in characters is open, so both have to agree.
    """
    if not isinstance(actual, str | list | dict):
        return False
    sizes = {len(actual)}
    if isinstance(actual, str) and not actual.isascii():
        sizes.add(len(actual.encode("utf-8", "surrogatepass")))
    return agreed(greater(wanted, size) if lower else greater(size, wanted) for size in sizes)


# Addresses


@lru_cache(maxsize=4096)
def _addresses(text: str) -> tuple[Address, ...]:
    """The ways to read a text as an address: none, one, or two for an IPv4 address mapped into IPv6."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ()
    mapped = getattr(found, "ipv4_mapped", None)
    return (found, mapped) if mapped is not None else (found,)


def _each_address(value: Any, test: Callable[[Address], Verdict]) -> Verdict:
    if not isinstance(value, str) or len(value) > 100:
        return False
    found = _addresses(value)
    verdict = agreed(map(test, found)) if found else False
    # Whether a zone belongs to an address is not said.
    return None if verdict and "%" in value else verdict


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def in_network(value: Any, network: Network) -> Verdict:
    """Whether a value is an address of a network; open where either is IPv4 mapped into IPv6."""
    readings = [network]
    base = network.network_address
    if isinstance(base, ipaddress.IPv6Address) and base.ipv4_mapped and network.prefixlen >= _MAPPED:
        readings.append(ipaddress.ip_network((base.ipv4_mapped, network.prefixlen - _MAPPED)))
    return _each_address(value, lambda found: agreed(_within(found, (one,)) for one in readings))


def network_of(text: str) -> Network | None:
    """A network in CIDR notation, with its length in digits as Go wants it; None when it is none."""
    if "%" in text or not re.search(r"/\d{1,3}\Z", text, re.ASCII):
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_private(value: Any, version: int = 0) -> Verdict:
    """Whether a value is a private address (docs: shared address space counts, loopback does not)."""
    return _each_address(value, lambda found: version in (0, found.version) and _within(found, _PRIVATE))


def is_public(value: Any, version: int = 0) -> Verdict:
    """Whether a value is a public address: none of the ranges that the documentation lists."""

    def test(found: Address) -> Verdict:
        if version not in (0, found.version):
            return False
        if _within(found, _PRIVATE) or _within(found, _SPECIAL):
            return False
        return None if _within(found, _UNLISTED) else True

    return _each_address(value, test)
