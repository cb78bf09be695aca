"""What an API key is made from: recipes of least privilege, address ranges, names.

A key cannot be edited once it is there, so what it may do and from where is settled before: by a recipe, ours
or the provider's own, or by permissions named one by one. A recipe never holds one of the three permissions
that make their holder master of an organization.

The provider's own recipes are a YAML file, a list of
`{name, says, extends?, permissions, allowed_ip_range?}`.

Sources, of LimaCharlie's documentation: `6-developer-guide/mcp-server.md`, "Recommended Permissions by Use
Case", for what reading, investigating and administering need; `cases.md` of the extensions for
`investigation.get` and `.set`; `7-administration/access/api-keys.md` for flairs, address ranges, and what a
live output needs.
"""

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from store.permissions import catalogue, family, is_privileged, known
from store.text import safe_text
from store.yaml import Document, Problem, YamlError, load

FLAIRS: Final[dict[str, str]] = {
    "bulk": "its limit of calls is raised",
    "segment": "it sees only the resources that were made with it",
}
"""What stands in brackets in a key's name changes what the key does (`api-keys.md`, "Flair")."""

LONGEST_NAME: Final = 128
FIELDS: Final = ("name", "says", "extends", "permissions", "allowed_ip_range")
PARAMETER: Final = "key_range"
"""The tree's parameter that says from where an organization's new keys may be used; inherited."""

_FLAIR = re.compile(r"\[([^\[\]]*)\]")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class KeyProblem(ValueError):
    """A key that is not made like this; the text is the sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one kind of key may do."""

    name: str
    says: str
    """One clause: for whom, and what it leaves out."""
    permissions: tuple[str, ...]
    """In the order of the catalogue."""
    allowed_ip_range: str = ""
    """CIDR; "" leaves it to the tree and the settings."""
    own: bool = False
    """The provider's own, from its file."""


@dataclass(frozen=True, slots=True)
class KeyWanted:
    """A key that may be asked for as it is: everything about it was checked."""

    name: str
    permissions: tuple[str, ...]
    """In the order of the catalogue."""
    allowed_ip_range: str
    """CIDR; "" is everywhere, and was said to be meant."""
    recipe: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What has to be said of it, loudly: sentences."""

    @property
    def privileged(self) -> tuple[str, ...]:
        """Those of its permissions that make it master of its organization."""
        return tuple(each for each in self.permissions if is_privileged(each))


_READS = (
    "org.get",
    "sensor.list",
    "sensor.get",
    "dr.list",
    "dr.list.managed",
    "yara.get",
    "lookup.get",
    "query.get",
)

RECIPES: Final[tuple[Recipe, ...]] = (
    Recipe(
        "reader",
        "inventory, rules, detections, audit log; no telemetry",
        (
            *_READS, "org.conf.get", "insight.det.get", "insight.stat", "audit.get", "investigation.get",
            "ext.conf.get.mtd", "secret.get.mtd", "cloudsensor.get.mtd", "externaladapter.get.mtd", "job.get",
        ),
    ),
    Recipe(
        "investigator",
        "telemetry, detections, cases; no command, no rule",
        (
            *_READS, "insight.evt.get", "insight.det.get", "insight.stat", "audit.get", "investigation.get",
            "investigation.set",
        ),
    ),
    Recipe(
        "infrastructure",
        "pushes configuration; deletes nothing, reads no secret",
        (
            "org.get", "org.conf.get", "org.conf.set", "dr.list", "dr.set", "dr.list.managed",
            "dr.set.managed", "fp.ctrl", "yara.get", "yara.set", "lookup.get", "lookup.set", "query.get",
            "query.set", "playbook.get", "playbook.set", "cloudsensor.get", "cloudsensor.set",
            "externaladapter.get", "externaladapter.set", "output.list", "output.set", "ikey.list",
            "ikey.set", "ext.request", "ext.conf.get", "ext.conf.set", "secret.get.mtd",
        ),
    ),
    Recipe(
        "output",
        "makes and removes its own output; reads nothing else",
        ("org.get", "output.list", "output.set", "output.del"),
    ),
)  # fmt: skip
"""What ships. `fp.ctrl` both reads and writes false positives, so only who writes them has it."""


def recipes(own: Iterable[Recipe] = ()) -> dict[str, Recipe]:
    """Every recipe by name, ours first."""
    return {each.name: each for each in (*(_in_order(one) for one in RECIPES), *own)}


def _in_order(recipe: Recipe) -> Recipe:
    return Recipe(recipe.name, recipe.says, ordered(recipe.permissions), recipe.allowed_ip_range, recipe.own)


def ordered(permissions: Iterable[str]) -> tuple[str, ...]:
    """Permissions once each, in the order of the catalogue; unknown ones last, by name."""
    places = {each.name: place for place, each in enumerate(catalogue())}
    return tuple(sorted(set(permissions), key=lambda name: (places.get(family(name), len(places)), name)))


# The provider's own


def read_recipes(text: str | bytes) -> tuple[list[Recipe], list[Problem]]:
    """The provider's own recipes, and everything that is wrong with the file, each with its line.

    A recipe with a problem is left out.

    Returns:
        (recipes, problems)
    """
    try:
        document = load(text)
    except YamlError as error:
        return [], [error.problem]
    if document.value is None:
        return [], []
    if not isinstance(document.value, list):
        return [], [Problem(document.line(), "Recipes are a list: `- name: ...`, `  permissions: [...]`.")]
    problems: list[Problem] = [*document.surprises]
    found: dict[str, Recipe] = {}
    for place, entry in enumerate(document.value):
        before = len(problems)
        recipe = _read(document, place, entry, found, problems)
        if recipe is not None and len(problems) == before:
            found[recipe.name] = recipe
    return list(found.values()), problems


def _read(
    document: Document, place: int, entry: Any, found: Mapping[str, Recipe], problems: list[Problem]
) -> Recipe | None:
    def wrong(text: str, *path: str | int) -> None:
        problems.append(Problem(document.line(place, *path), text))

    if not isinstance(entry, dict):
        wrong("A recipe is a mapping with `name` and `permissions`.")
        return None
    for unknown in entry.keys() - set(FIELDS):
        wrong(f"{_q(unknown)} means nothing in a recipe; there are {', '.join(FIELDS)}.", unknown)
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        wrong(f"A recipe's name is 1 to 40 of a-z, 0-9, _ and -, not {_q(name)}.", "name")
        return None
    base: tuple[str, ...] = ()
    every = recipes(found.values())
    if name in every:
        wrong(f"There is a recipe {_q(name)} already; give this one another name.", "name")
    says = entry.get("says", "")
    if not isinstance(says, str) or len(says) > 200:
        wrong("`says` is a text of at most 200 characters.", "says")
        says = ""
    extends = entry.get("extends")
    if extends is not None:
        if isinstance(extends, str) and extends in every:
            base = every[extends].permissions
        else:
            wrong(
                f"There is no recipe {_q(extends)} above to extend; there are {', '.join(every)}.", "extends"
            )
    given = entry.get("permissions", [])
    if not isinstance(given, list) or not (given or base):
        wrong("`permissions` is a list with at least one permission.", "permissions")
        return None
    for number, permission in enumerate(given):
        if reason := permission_problem(permission):
            wrong(reason, "permissions", number)
        elif is_privileged(permission):
            wrong(
                f"{permission} makes a key master of its organization; no recipe holds it.",
                "permissions", number,
            )  # fmt: skip
    permissions = (*base, *(each for each in given if isinstance(each, str)))
    allowed = entry.get("allowed_ip_range", "")
    try:
        allowed = check_range(allowed) if allowed else ""
    except KeyProblem as error:
        wrong(str(error), "allowed_ip_range")
    return Recipe(name, says, ordered(permissions), allowed, own=True)


def permission_problem(permission: object) -> str:
    """Why this is not put into a recipe or a key; "" when nothing speaks against it."""
    if not isinstance(permission, str) or not permission.strip():
        return f"A permission is a word such as sensor.list, not {_q(permission)}."
    held = known(permission)
    if held is None:
        near = difflib.get_close_matches(permission, [each.name for each in catalogue()], 1, 0.75)
        return f"There is no permission {_q(permission)}.{f' Did you mean {near[0]}?' if near else ''}"
    if held.doubtful:
        return f"{_q(permission)} is mentioned somewhere and probably historic; it is given to no new key."
    return ""


# Names and ranges


def flairs(name: str) -> tuple[str, ...]:
    """What stands in brackets in a key's name, in lower case."""
    return tuple(each.strip().lower() for each in _FLAIR.findall(name))


def name_problem(name: str) -> str:
    """Why no key is called this; "" when one may be."""
    if not name.strip():
        return "A key needs a name: the audit log knows a key by nothing else."
    if name != name.strip():
        return "A key's name neither begins nor ends with a space."
    if len(name) > LONGEST_NAME:
        return f"A key's name has at most {LONGEST_NAME} characters."
    if safe_text(name, LONGEST_NAME * 8) != name:
        return "A key's name is of characters that can be seen; the audit log names the key by it."
    if name.count("[") != name.count("]") or "[" in _FLAIR.sub("", name) or "]" in _FLAIR.sub("", name):
        return "The brackets in this name do not close: a flair is written [bulk]."
    return ""


def name_notes(name: str) -> tuple[str, ...]:
    """What the flairs in a name do, one sentence each."""
    notes: list[str] = []
    for flair in flairs(name):
        if flair in FLAIRS:
            notes.append(f"[{flair}]: {FLAIRS[flair]}.")
        else:
            known_ones = " and ".join(f"[{each}]" for each in FLAIRS)
            notes.append(f"[{safe_text(flair, 40)}] is no flair that is documented; there are {known_ones}.")
    if any(flair in FLAIRS for flair in flairs(name)) and not name.endswith("]"):
        notes.append("A flair is best at the end of the name.")
    return tuple(notes)


def check_range(text: object) -> str:
    """An address range as it is sent.

    Raises:
        KeyProblem: it is no CIDR range, has bits behind its prefix, or is everywhere.
    """
    word = text.strip() if isinstance(text, str) else ""
    try:
        network = ipaddress.ip_network(word, strict=True)
    except ValueError:
        try:
            meant = ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise KeyProblem(
                f"{_q(text)} is no address range; one is written like 203.0.113.0/28 or 2001:db8::/48."
            ) from None
        raise KeyProblem(f"{_q(text)} has bits behind its prefix; the range around it is {meant}.") from None
    if network.prefixlen == 0:
        raise KeyProblem(f"{network} is every address there is; to go without a range has to be asked for.")
    return str(network)


def same_range(one: str, other: str) -> bool:
    """Whether two texts name the same range; "" is everywhere."""
    try:
        return (ipaddress.ip_network(one.strip(), strict=False) if one.strip() else None) == (
            ipaddress.ip_network(other.strip(), strict=False) if other.strip() else None
        )
    except ValueError:
        return one.strip() == other.strip()


def hive_name_problem(name: str) -> str:
    """Why no secret is called this; "" when one may be."""
    if not name or name != name.strip() or len(name) > 200:
        return "A secret's name has 1 to 200 characters, and no space at its ends."
    if safe_text(name, 1_000) != name or "/" in name or name in (".", ".."):
        return "A secret's name is of characters that can be seen, without a slash."
    return ""


# What is asked for


def wanted(
    name: str,
    *,
    recipe: Recipe | None = None,
    permissions: Sequence[str] = (),
    allowed_ip_range: str = "",
    anywhere: bool = False,
    privileged: bool = False,
) -> KeyWanted:
    """Check a key that somebody asks for.

    Args:
        recipe: what it may do; with `permissions` both.
        allowed_ip_range: CIDR; "" takes the recipe's.
        anywhere: it is meant to be used from everywhere.
        privileged: one of the three permissions that make it master of its organization is meant.

    Raises:
        KeyProblem: it is not made like this.
    """
    if reason := name_problem(name):
        raise KeyProblem(reason)
    for each in permissions:
        if reason := permission_problem(each):
            raise KeyProblem(reason)
    held = ordered([*(recipe.permissions if recipe is not None else ()), *permissions])
    if not held:
        raise KeyProblem("A key needs a recipe, or permissions.")
    notes = list(name_notes(name))
    masters = [each for each in held if is_privileged(each)]
    if masters and not privileged:
        raise KeyProblem(
            f"{masters[0]} makes a key master of its organization; that has to be asked for by itself, "
            "with `limegrove key create --privileged`."
        )
    if masters:
        notes.append(f"THIS KEY IS MASTER OF ITS ORGANIZATION: it has {', '.join(masters)}.")
    allowed = allowed_ip_range.strip() or (recipe.allowed_ip_range if recipe is not None else "")
    if anywhere and allowed_ip_range.strip():
        raise KeyProblem("A key is used from everywhere or from a range, not both.")
    if anywhere:
        notes.append("THIS KEY WORKS FROM EVERYWHERE: whoever has its secret can use it from any address.")
        allowed = ""
    elif not allowed:
        raise KeyProblem("A key needs an address range from which it is used.")
    else:
        allowed = check_range(allowed)
    return KeyWanted(name, held, allowed, recipe.name if recipe is not None else "", tuple(notes))


def _q(value: object) -> str:
    return f"{value!a}"[:80]
