"""Infrastructure documents (version 3) as files that people write: a record added, the rest left alone."""

import json
from dataclasses import dataclass
from typing import Any

from store.yaml import Document, YamlError, load


class TemplateError(ValueError):
    """A file cannot take a record: one sentence that says why, and what to do."""


class RecordTaken(TemplateError):
    """There is a record of that name with other content."""


class CommentsLost(TemplateError):
    """The document would have to be written anew, without its comments."""


@dataclass(frozen=True)
class Written:
    """A document with a record in it."""

    text: str
    comments_kept: bool
    """False when the whole document was written anew: comments and layout are gone."""
    replaced: bool
    """There was a record of that name with other content."""
    changed: bool
    """False when the very record was there already."""


def with_record(
    text: str, hive: str, name: str, record: dict[str, Any], *, replace: bool = False, rewrite: bool = False
) -> Written:
    """A document with one more record in a hive.

    The record is put in as text where the layout allows it, and the outcome is read again: it has to be the
    document from before with that record, and nothing else.

    Args:
        text: the document; "" for a new one.
        hive: such as `fp`.
        name: the record's key.
        record: `{"data", "usr_mtd"}`.
        replace: put it in place of one with that name.
        rewrite: write the whole document anew where that cannot be avoided; its comments are lost.

    Raises:
        TemplateError: it is no such document, has another record of that name, or would lose its comments.
    """
    before = _read(text)
    document: dict[str, Any] = before.value
    hives = document.get("hives")
    records = hives.get(hive) if isinstance(hives, dict) else None
    there = records.get(name) if isinstance(records, dict) else None
    if there == record:
        return Written(text, True, False, False)
    if there is not None and not replace:
        raise RecordTaken(
            f"The file has a record {name!r} in hives/{hive} already, with other content; give another name, "
            "or replace it."
        )
    wanted = _with(document, hive, name, record)
    if there is None:
        for candidate in _inserted(text, before, hive, name, record):
            if _same(candidate, wanted):
                return Written(candidate, True, False, True)
    commented = _has_comments(text)
    if commented and not rewrite:
        raise CommentsLost(
            "The record cannot be put in without writing the file anew, and its comments would be lost; "
            "allow that, or put it in by hand."
        )
    return Written(dumped(wanted), not commented, there is not None, True)


def dumped(value: Any) -> str:
    """Plain data as YAML that reads back as the same."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # chosen at run time
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_multi_representer(str, lambda self, text: self.represent_str(str(text)))
    options: dict[str, Any] = {"sort_keys": False, "default_flow_style": False, "width": 100}
    plain = all(letter.isprintable() for letter in json.dumps(value, ensure_ascii=False, default=str))
    return str(yaml.dump(value, Dumper=Dumper, allow_unicode=plain, **options))


def _read(text: str) -> Document:
    if not text.strip():
        return load("version: 3\n")
    try:
        read = load(text)
    except YamlError as error:
        raise TemplateError(f"The file is not read as YAML: {error}") from error
    document = read.value
    if not isinstance(document, dict) or "version" not in document:
        raise TemplateError("The file is no infrastructure document: it has no `version:` at its top.")
    if document["version"] not in (1, 2, 3) or isinstance(document["version"], bool):
        raise TemplateError(f"The file is of version {document['version']!r}; up to 3 is understood.")
    hives = document.get("hives")
    if hives is not None and not isinstance(hives, dict):
        raise TemplateError(f"Line {read.line('hives')}: `hives:` has to be a mapping.")
    return read


def _with(document: dict[str, Any], hive: str, name: str, record: dict[str, Any]) -> dict[str, Any]:
    hives = document.get("hives") or {}
    records = hives.get(hive) or {}
    if not isinstance(records, dict):
        raise TemplateError(f"`hives: {hive}:` has to be a mapping.")
    return {**document, "hives": {**hives, hive: {**records, name: record}}}


def _same(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(load(text).value == wanted)
    except YamlError:
        return False


def _has_comments(text: str) -> bool:
    """Whether a `#` stands anywhere but within a value."""
    import yaml

    place = 0
    for token in yaml.scan(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(token, yaml.ScalarToken):
            if "#" in text[place : token.start_mark.index]:
                return True
            place = token.end_mark.index
    return "#" in text[place:]


def _inserted(text: str, read: Document, hive: str, name: str, record: dict[str, Any]) -> list[str]:
    """The document with the record put in as text, in the ways that may do."""
    document = read.value
    lines = text.splitlines(keepends=True) if text.strip() else ["version: 3\n"]
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    hives = document.get("hives")
    if not hives:
        if "hives" in document:
            return []
        return ["".join(lines) + dumped({"hives": {hive: {name: record}}})]
    records = hives.get(hive)
    parent: tuple[str, ...]
    if not records:
        if hive in hives:
            return []
        added, parent, sibling = {hive: {name: record}}, ("hives",), next(iter(hives))
    else:
        added, parent, sibling = {name: record}, ("hives", hive), next(iter(records))
    # Before the first sibling, with its indentation.
    at = _key_line(lines, read.line(*parent, sibling), str(sibling))
    if at is None:
        return []
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    block = "".join(f"{indent}{line}" if line.strip() else line for line in dumped(added).splitlines(True))
    return ["".join([*lines[:at], block, *lines[at:]])]


def _key_line(lines: list[str], value_line: int, key: str) -> int | None:
    """The line on which a key stands whose value begins on `value_line`: that one, or some above it."""
    for at in range(min(value_line - 1, len(lines) - 1), -1, -1):
        stripped = lines[at].lstrip()
        if stripped.startswith((f"{key}:", f'"{key}"', f"'{key}'")):
            return at
        if value_line - 1 - at > 20:
            break
    return None
