"""Who is staff, and whose people the others are: by the domain of an address.

The tree says it, by parameters:

- `staff_domains` of the root: the provider's own domains, and those of partners who work for it;
- `domains` of any node: those of the customer that stands there. All organizations below are that customer's.
  Of an organization of the provider's own (templates, demonstrations) they are among `staff_domains`;
- `people_left` of the root: addresses of those who left, whatever they still hold.

A domain stands for the ones below it too. Without `staff_domains`, the domains of those who own groups count
as staff's, for whoever manages a group works for the provider (LimaCharlie's access guide,
`7-administration/access/designing-access.md`); a domain that a customer declares never does, and of a domain
where anybody gets a mailbox only the owner's own address does.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

STAFF: Final = "staff_domains"
DOMAINS: Final = "domains"
LEFT: Final = "people_left"

MAILBOXES: Final = frozenset(
    (
        "aol.com", "fastmail.com", "gmail.com", "gmx.com", "gmx.de", "gmx.net", "googlemail.com",
        "hotmail.com", "icloud.com", "live.com", "mail.com", "mail.ru", "me.com", "msn.com", "outlook.com",
        "pm.me", "proton.me", "protonmail.com", "qq.com", "web.de", "yahoo.com", "yandex.com", "zoho.com",
    )
)  # fmt: skip
"""Domains where anybody gets a mailbox: an address of theirs says nothing of its neighbour."""

_DOMAIN = re.compile(r"(?=.{1,253}\Z)[^\s@/,;.]{1,63}(\.[^\s@/,;.]{1,63})+")


@dataclass(frozen=True, slots=True)
class Staff:
    """Who works for the provider."""

    domains: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    """Those who count by their own address alone."""
    source: Literal["declared", "derived", ""] = ""
    """The tree, the owners of groups, or nothing: then nobody can be told from a customer's user."""

    def __contains__(self, email: object) -> bool:
        return isinstance(email, str) and (
            email in self.addresses or bool(covering(domain_of(email), self.domains))
        )

    @property
    def words(self) -> str:
        """Who counts as staff and why, in one clause."""
        named = ", ".join((*sorted(self.domains), *sorted(self.addresses)))
        if self.source == "declared":
            return f"staff is whoever has an address of {named} ({STAFF} of the tree)"
        if self.source == "derived":
            return (
                f"staff is taken to be whoever has an address of {named}, as the owners of groups have; "
                f"{STAFF} of the tree's root says it for certain"
            )
        return f"who is staff is not known: no group names an owner, and the tree's root has no {STAFF}"


def domain_of(email: str) -> str:
    """What follows the last @, in lower case; "" where there is none."""
    return email.rpartition("@")[2].lower() if "@" in email else ""


def covering(domain: str, declared: Iterable[str]) -> str:
    """The declared domain that this one is, or stands below; the longest of several; "" when there is
    none."""
    known = declared if isinstance(declared, frozenset | set | dict) else frozenset(declared)
    while domain:
        if domain in known:
            return domain
        domain = domain.partition(".")[2]
    return ""


def staff_of(declared: Iterable[str], customers: Iterable[str], owners: Iterable[str]) -> Staff:
    """Who is staff.

    Args:
        declared: `staff_domains`.
        customers: every `domains` of the tree.
        owners: addresses of those who own groups.
    """
    domains = frozenset(declared)
    if domains:
        return Staff(domains, source="declared")
    theirs = frozenset(customers)
    found, alone = set(), set()
    for email in owners:
        domain = domain_of(email)
        if domain in MAILBOXES:
            alone.add(email)
        elif domain and not covering(domain, theirs):
            found.add(domain)
    if not found and not alone:
        return Staff()
    return Staff(frozenset(found), frozenset(alone), "derived")


def domains_in(parameters: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The domains that a parameter of a node names; () when it says nothing, or is malformed.

    Args:
        name: STAFF or DOMAINS.
    """
    value = parameters.get(name)
    if value is None or _wrong_domains(value):
        return ()
    return tuple(each.lower() for each in ([value] if isinstance(value, str) else value))


def left_in(parameters: Mapping[str, Any]) -> frozenset[str]:
    """The addresses of those who left, in lower case."""
    value = parameters.get(LEFT)
    if value is None or _wrong_addresses(value):
        return frozenset()
    return frozenset(each.lower() for each in ([value] if isinstance(value, str) else value))


def wrong(name: str, value: object, *, root: bool) -> str:
    """What is wrong with a parameter of this module, as the end of a sentence; "" when nothing is."""
    if name == DOMAINS:
        return _wrong_domains(value)
    if not root:
        return "it belongs to the root of the tree"
    return _wrong_domains(value) if name == STAFF else _wrong_addresses(value)


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return value
    return None


def _wrong_domains(value: object) -> str:
    given = _texts(value)
    if given is None or not all(_DOMAIN.fullmatch(each) for each in given):
        return "it takes a domain or a list of them, such as [acme.example]"
    return ""


def _wrong_addresses(value: object) -> str:
    given = _texts(value)
    if given is None or not all(domain_of(each) and not any(map(str.isspace, each)) for each in given):
        return "it takes an address or a list of them, such as [kim@acme.example]"
    return ""
