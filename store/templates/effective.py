"""What an organization is to have: the templates of the nodes from the root to it, laid over each other.

The order is that of the tree, root first, and on one node the order in which templates were assigned. A
record that two layers bring with other content is a conflict, which blocks, unless the later one says what it
means, below its key `limegrove`:

    limegrove:
      override: [hives/fp/scanner]        # this one takes the place of the earlier one
      extend: [outputs/siem]              # mappings are merged, lists united; of two values this one's
      "off": [hives/dr-general/noisy]     # the earlier one is not wanted here; nothing takes its place

Extensions and the categories of resources are united without a word.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from store.templates.documents import Finding, Key, Place, Record, Template
from store.templates.parameters import Missing, filled, parameters_of

How = Literal["brought", "overridden", "extended", "switched off"]

_WORDS: Final = ("override", "extend", "off")
_FLAT: Final = {
    "outputs": "output", "integrity": "integrity", "artifact": "artifact", "org-value": "org_value",
    "installation_keys": "installation_key", "extensions": "extension", "resources": "resource",
    "exfil": "exfil", "yara": "yara",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """A template on a node of the way from the root to an organization."""

    node: str
    """The node's id."""
    path: str
    """The names of the nodes down to it."""
    name: str
    """Of the template."""
    template: Template


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from, or what a layer did to it."""

    how: How
    layer: str
    """Name of the template."""
    path: str
    """Of the node it is assigned to."""
    place: Place


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record that an organization is to have."""

    record: Record
    origins: tuple[Origin, ...]
    """From the first layer that brought it to the last that changed it."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two layers bring a record with other content, and the later one does not say what it means."""

    key: Key
    first: Origin
    second: Origin

    def __str__(self) -> str:
        first, second = self.first, self.second
        return (
            f"{document_key(self.key)} comes from {first.layer} ({first.path or 'root'}) and, otherwise, "
            f"from {second.layer} ({second.path or 'root'}, {second.place}); the later one has to say "
            "`override` or `extend`."
        )


@dataclass(frozen=True)
class Effective:
    """What an organization is to have, and why it cannot be planned where it cannot."""

    records: Mapping[Key, Wanted]
    off: Mapping[Key, tuple[Origin, ...]]
    """What a layer switched off, and the layers behind it."""
    conflicts: tuple[Conflict, ...]
    missing: tuple[tuple[str, Missing], ...]
    """(template, parameter)."""
    findings: tuple[Finding, ...] = field(default=())
    """Errors of the templates, and words below `limegrove` that mean nothing."""

    @property
    def blocked(self) -> tuple[str, ...]:
        """Why nothing may be planned; empty when it may."""
        return (
            *(str(each) for each in self.conflicts),
            *(
                f"The parameter {each.name} of {template} {each.reason} ({each.place})."
                for template, each in self.missing
            ),
            *(str(each) for each in self.findings if each.severity == "error"),
        )


def key_of(text: str) -> Key | None:
    """The record that a document's words name: `hives/fp/scanner`, `outputs/siem`; None when none can be."""
    root, _, rest = text.partition("/")
    if root == "hives":
        hive, _, name = rest.partition("/")
        return (f"hive/{hive}", name) if hive and name else None
    return (_FLAT[root], rest) if root in _FLAT and rest else None


def document_key(key: Key) -> str:
    """The other way round: as a document would name a record."""
    section, name = key
    if section.startswith("hive/"):
        return f"hives/{section[5:]}/{name}"
    root = next(root for root, each in _FLAT.items() if each == section)
    return f"{root}/{name}"


def short_key(words: str) -> str:
    """The words of `document_key` for a narrow column, where the name matters more than that it is a hive."""
    return words.removeprefix("hives/")


def effective(layers: Sequence[Layer], values: Mapping[str, Any]) -> Effective:
    """Lay templates over each other.

    Args:
        layers: in the order of the tree, root first.
        values: the organization's parameters, `oid` and `organization` among them.
    """
    laying = _Laying()
    for layer in layers:
        laying.lay(layer, values)
    return Effective(
        laying.records, laying.off, tuple(laying.conflicts), tuple(laying.missing), tuple(laying.findings)
    )


class _Laying:
    def __init__(self) -> None:
        self.records: dict[Key, Wanted] = {}
        self.off: dict[Key, tuple[Origin, ...]] = {}
        self.conflicts: list[Conflict] = []
        self.missing: list[tuple[str, Missing]] = []
        self.findings: list[Finding] = []

    def lay(self, layer: Layer, values: Mapping[str, Any]) -> None:
        template = layer.template
        self.findings += [each for each in template.findings if each.severity == "error"]
        declared, wrong = parameters_of(template)
        self.findings += wrong
        records, missing = filled(template.records.values(), declared, values)
        self.missing += [(layer.name, each) for each in missing]
        words = self._words(template)
        for key, place in words["off"].items():
            self._switch_off(layer, key, place)
        for record in records.values():
            self._put(layer, record, words)
        for word in ("override", "extend"):
            for key, place in words[word].items():
                if key not in template.records:
                    self._odd(
                        place, f"`{word}` names {document_key(key)}, which this template does not bring."
                    )

    def _words(self, template: Template) -> dict[str, dict[Key, Place]]:
        found: dict[str, dict[Key, Place]] = {word: {} for word in _WORDS}
        for place, ours in template.ours:
            listing: Mapping[Any, Any] = ours
            for name, listed in listing.items():
                # YAML reads a bare `off` as no.
                word = "off" if name is False else name
                if word == "parameters":
                    continue
                if word not in _WORDS:
                    self._wrong(
                        place, f"`limegrove` has `{word}`; there are parameters, {', '.join(_WORDS)}."
                    )
                    continue
                for text in listed if isinstance(listed, list) else [listed]:
                    key = key_of(text) if isinstance(text, str) else None
                    if key is None:
                        self._wrong(
                            place,
                            f"`{word}` names {text!r}; a record is named as in hives/fp/NAME, outputs/NAME.",
                        )
                    else:
                        found[word][key] = place
        return found

    def _switch_off(self, layer: Layer, key: Key, place: Place) -> None:
        there = self.records.pop(key, None)
        if there is None:
            self._odd(place, f"`off` names {document_key(key)}, which no earlier layer brings.")
            return
        self.off[key] = (*there.origins, Origin("switched off", layer.name, layer.path, place))

    def _put(self, layer: Layer, record: Record, words: Mapping[str, Mapping[Key, Place]]) -> None:
        key, there = record.key, self.records.get(record.key)

        def origin(how: How) -> Origin:
            return Origin(how, layer.name, layer.path, record.place)

        if there is None:
            self.records[key] = Wanted(record, (origin("brought"),))
            self.off.pop(key, None)
        elif (there.record.body, there.record.metadata) == (record.body, record.metadata):
            return
        elif key in words["override"]:
            self.records[key] = Wanted(record, (*there.origins, origin("overridden")))
        elif key in words["extend"] or record.section == "resource":
            self.records[key] = Wanted(_extended(there.record, record), (*there.origins, origin("extended")))
        else:
            self.conflicts.append(Conflict(key, there.origins[-1], origin("brought")))

    def _wrong(self, place: Place, text: str) -> None:
        self.findings.append(Finding("error", place, text))

    def _odd(self, place: Place, text: str) -> None:
        self.findings.append(Finding("warning", place, text))


def _extended(before: Record, after: Record) -> Record:
    metadata = before.metadata
    if after.metadata is not None:
        metadata = _merged(dict(before.metadata or {}), dict(after.metadata))
    return Record(before.section, before.name, _merged(before.body, after.body), metadata, after.place)


def _merged(before: Any, after: Any) -> Any:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return {
            name: _merged(before[name], after[name])
            if name in before and name in after
            else (after if name in after else before)[name]
            for name in (*before, *(name for name in after if name not in before))
        }
    if isinstance(before, list) and isinstance(after, list):
        return [*before, *(each for each in after if each not in before)]
    return after


def document_of(records: Iterable[Record]) -> dict[str, Any]:
    """Records as one infrastructure document, plain data, without includes.

    Sections come in the order in which a push applies them, records by name.
    """
    found: dict[str, Any] = {"version": 3}
    for root, path, value in sorted(_parts(records), key=lambda part: (_ORDER.index(part[0]), part[1])):
        if root == "extensions":
            found.setdefault(root, []).append(value)
            continue
        into = found.setdefault(root, {})
        for step in path[:-1]:
            into = into.setdefault(step, {})
        into[path[-1]] = value
    return found


_ORDER: Final = (
    "resources", "extensions", "org-value", "hives", "outputs", "integrity", "artifact", "exfil",
    "installation_keys", "yara",
)  # fmt: skip


def _parts(records: Iterable[Record]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    for record in records:
        root, _, rest = document_key(record.key).partition("/")
        if root == "hives":
            body: dict[str, Any] = {"data": record.body}
            if record.metadata is not None:
                body["usr_mtd"] = dict(record.metadata)
            yield root, (record.section[5:], record.name), body
        elif root == "extensions":
            yield root, (rest,), rest
        elif root in ("exfil", "yara"):
            kind, _, name = rest.partition("/")
            yield root, (kind, name), record.body
        else:
            yield root, (rest,), record.body
