"""Parameters of a template: declared in it, filled from the tree, put in where `${name}` stands.

A document declares them below its key `limegrove`, which the cloud ignores:

    limegrove:
      parameters:
        siem_host: {type: string, required: true, description: Where the SIEM listens}
        siem_key: {type: secret, default: siem}

Only what is declared is put in, and `oid` and `organization`, which every template knows: any other `${...}`,
as scripts in rules have it, stays as it is. A value that is nothing but `${name}` becomes the parameter's own
value, a list or a number; within a longer text it becomes text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from store.templates.documents import Finding, Key, Place, Record, Template

Type = Literal["string", "number", "boolean", "list", "choice", "secret"]
TYPES: Final[tuple[Type, ...]] = get_args(Type)

BUILT_IN: Final = ("oid", "organization")
"""The organization's id, and its name."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_USED: Final = re.compile(r"\$\{([a-z][a-z0-9_]{0,63})\}", re.ASCII)
_SECRET: Final = re.compile(r"[^\s/]{1,128}")
_FIELDS: Final = frozenset({"type", "default", "required", "description", "choices"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declaration."""

    name: str
    type: Type
    place: Place
    default: Any = None
    required: bool = False
    """It has no default, and has to be in the tree."""
    description: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """A parameter for which an organization has no value, or one that cannot be."""

    name: str
    reason: str
    """One clause."""
    place: Place
    """Where it is declared."""


def parameters_of(template: Template) -> tuple[dict[str, Parameter], list[Finding]]:
    """What a template declares, and what is wrong with that."""
    declared: dict[str, Parameter] = {}
    findings: list[Finding] = []

    def wrong(place: Place, text: str) -> None:
        findings.append(Finding("error", place, text))

    for place, ours in template.ours:
        listed = ours.get("parameters")
        if listed is None:
            continue
        if not isinstance(listed, Mapping):
            wrong(place, "`limegrove.parameters` has to be a mapping of names.")
            continue
        read = template.documents.get(place.file)
        for name, said in listed.items():
            line = (
                read.key_line("limegrove", "parameters", name)
                if read and isinstance(name, str)
                else place.line
            )
            at = Place(place.file, line)
            made = _declared(name, said, at)
            if isinstance(made, str):
                wrong(at, made)
            elif made.name in declared and declared[made.name] != replace(
                made, place=declared[made.name].place
            ):
                wrong(at, f"The parameter {name} is declared otherwise in {declared[made.name].place}.")
            else:
                declared.setdefault(made.name, made)
    return declared, findings


def _declared(name: object, said: object, at: Place) -> Parameter | str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{name!r} is no name of a parameter: small letters, digits and _."
    if name in BUILT_IN:
        return f"{name} is what limegrove itself puts in; give the parameter another name."
    if isinstance(said, str):
        said = {"type": said}
    if not isinstance(said, Mapping):
        return f"The parameter {name} has to be a mapping with `type`."
    odd = sorted(set(map(str, said)) - _FIELDS)
    if odd:
        return f"The parameter {name} has `{odd[0]}`; there are {', '.join(sorted(_FIELDS))}."
    kind = said.get("type", "string")
    if kind not in TYPES:
        return f"The parameter {name} is of the type {kind!r}; there are {', '.join(TYPES)}."
    choices = said.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
        return f"`choices` of the parameter {name} have to be a list of texts."
    if (kind == "choice") != bool(choices):
        return f"The parameter {name} needs `choices`, and is of the type choice, or neither."
    required = said.get("required", "default" not in said)
    if not isinstance(required, bool):
        return f"`required` of the parameter {name} has to be true or false."
    if required and "default" in said:
        return f"The parameter {name} is required and has a default: one of both."
    made = Parameter(
        name, kind, at, said.get("default"), required, str(said.get("description", "")), tuple(choices)
    )
    if "default" in said:
        reason = _unfit(made, said["default"])
        if reason:
            return f"The default of the parameter {name} {reason}."
    return made


def _unfit(parameter: Parameter, value: Any) -> str:
    """Why a value cannot be that of a parameter; "" when it can."""
    fits = {
        "string": isinstance(value, str),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "list": isinstance(value, list) and all(isinstance(each, str | int | float) for each in value),
        "choice": value in parameter.choices,
        "secret": isinstance(value, str) and _SECRET.fullmatch(value) is not None,
    }[parameter.type]
    if fits:
        return ""
    if parameter.type == "choice":
        return f"is none of {', '.join(parameter.choices)}"
    if parameter.type == "secret":
        return "is not the name of a record of the secret hive"
    return f"is no {parameter.type}"


def used(value: Any) -> set[str]:
    """The names in every `${name}` of a value."""
    found: set[str] = set()
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            if "${" in each:
                found.update(_USED.findall(each))
        elif isinstance(each, list):
            left += each
        elif isinstance(each, dict) or isinstance(each, Mapping):  # noqa: SIM101 - the first is asked faster
            left += each
            left += each.values()
    return found


def filled(
    records: Iterable[Record], declared: Mapping[str, Parameter], values: Mapping[str, Any]
) -> tuple[dict[Key, Record], list[Missing]]:
    """Records with their parameters put in.

    Args:
        values: the tree's parameters of the organization, and BUILT_IN.

    Returns:
        The records, without those that lack a parameter; and which parameters are lacking.
    """
    known: dict[str, Any] = {name: values.get(name, "") for name in BUILT_IN}
    lacking: dict[str, str] = {}
    for parameter in declared.values():
        if parameter.name in values:
            value = values[parameter.name]
            reason = _unfit(parameter, value)
            if reason:
                lacking[parameter.name] = reason
                continue
        elif parameter.required:
            lacking[parameter.name] = "has no value in the tree"
            continue
        else:
            value = parameter.default
        known[parameter.name] = f"hive://secret/{value}" if parameter.type == "secret" and value else value
    found: dict[Key, Record] = {}
    missing: dict[str, Missing] = {}
    for record in records:
        wanted = used(record.body) | used(dict(record.metadata or {}))
        absent = sorted(wanted & lacking.keys())
        for name in absent:
            missing.setdefault(name, Missing(name, lacking[name], declared[name].place))
        if absent:
            continue
        if wanted & known.keys():
            record = replace(
                record,
                body=_put(record.body, known),
                metadata=None if record.metadata is None else _put(dict(record.metadata), known),
            )
        found[record.key] = record
    return found, list(missing.values())


def _put(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        whole = _USED.fullmatch(value)
        if whole is not None and whole[1] in known:
            return known[whole[1]]
        return _USED.sub(lambda found: _text(known[found[1]]) if found[1] in known else found[0], value)
    if isinstance(value, Mapping):
        return {
            _put(name, known) if isinstance(name, str) else name: _put(each, known)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_put(each, known) for each in value]
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return "" if value is None else str(value)
