"""YAML from strangers: read behind limits, every complaint with its line.

LimaCharlie's own client reads YAML 1.1 with PyYAML, so the same file must mean the same here. Aliases and
merge keys are allowed as long as they stay small; duplicate keys and tags of one's own are errors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

LARGEST: Final = 5_000_000
"""Bytes of a document."""
DEEPEST: Final = 64
"""Collections within each other."""
MOST_NODES: Final = 200_000
EXPANSION: Final = 10
"""How many times its own number of nodes a document may have once its aliases are followed."""
SMALL: Final = 1_000
"""A document that stays below so many nodes may repeat itself as it likes."""

_TAG: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(
    _TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "timestamp", "merge")
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a line."""

    line: int
    """From 1 on."""
    text: str
    """One sentence."""

    def __str__(self) -> str:
        return f"Line {self.line}: {self.text}"


class YamlError(ValueError):
    """A document cannot be read, or not safely."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Document:
    """One document, and where its parts stand."""

    value: Any
    """Plain data: dicts, lists, texts, numbers, dates."""
    surprises: tuple[Problem, ...]
    """Unquoted words that YAML 1.1 takes for something else: `no`, `010`, `12:30:45`."""
    _root: Any

    def line(self, *path: str | int) -> int:
        """The line on which a part begins; that of the last part there is, when the path leads nowhere."""
        node = self._root
        for step in path:
            below = _below(node, step)
            if below is None:
                break
            node = below
        return 1 if node is None else int(node.start_mark.line) + 1

    def key_line(self, *path: str | int) -> int:
        """The line on which the key of a part stands; where it has none or is not there, as `line`."""
        if path and isinstance(path[-1], str):
            node = self._root
            for step in path[:-1]:
                node = None if node is None else _below(node, step)
            content = getattr(node, "value", None)
            for pair in content if isinstance(content, list) else ():
                if isinstance(pair, tuple) and pair[0].value == path[-1]:
                    return int(pair[0].start_mark.line) + 1
        return self.line(*path)


def load(text: str | bytes) -> Document:
    """Read one YAML document; an empty one is None.

    Raises:
        YamlError: not UTF-8, not YAML, more than one document, too large, too deep, too many nodes, aliases
            that multiply it, a key that is there twice or is no scalar, a tag of its own.
    """
    import yaml

    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > LARGEST:
        raise YamlError(Problem(1, f"The file has more than {LARGEST // 1_000_000} MB."))
    try:
        decoded = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise YamlError(Problem(line, "This is not UTF-8 text.")) from None
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _guard(yaml.parse(decoded, loader), yaml)
        reading = loader(decoded)
        try:
            root = reading.get_single_node()
            surprises = () if root is None else tuple(_checked(root, yaml))
            value = None if root is None else reading.construct_document(root)
        finally:
            reading.dispose()
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        raise YamlError(Problem(line, "A control character is not allowed in YAML.")) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if isinstance(error, yaml.composer.ComposerError) and error.problem == "but found another document":
            text = "Behind `---` another document begins, and a client reads a file that holds one."
            raise YamlError(Problem(mark.line + 1 if mark else 1, text)) from None
        what = error.problem or error.context or "this cannot be read"
        raise YamlError(Problem(mark.line + 1 if mark else 1, f"This is not YAML: {what}.")) from None
    except (ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(Problem(_first_bad(root, yaml), "This number or date does not exist.")) from None
    return Document(value, surprises, root)


def _guard(events: Iterator[Any], yaml: Any) -> None:
    """Look at the events alone, before anything is built of them."""
    raw = expanded = depth = 0
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor)
            if size is None:
                # Unknown, or an alias within its own anchor: a document that contains itself.
                raise YamlError(Problem(line, f"The alias {event.anchor!r} stands for nothing above it."))
            raw += 1
            expanded += size
        elif isinstance(event, yaml.NodeEvent):
            raw += 1
            expanded += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                open_.append((event.anchor, expanded - 1))
                if depth > DEEPEST:
                    raise YamlError(Problem(line, f"More than {DEEPEST} levels stand within each other."))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = expanded - before
        if raw > MOST_NODES:
            raise YamlError(Problem(line, f"The file has more than {MOST_NODES} values."))
        if expanded > max(SMALL, raw * EXPANSION):
            raise YamlError(Problem(line, f"Aliases multiply the file more than {EXPANSION} times."))


def _checked(root: Any, yaml: Any) -> Iterator[Problem]:
    """Raise on duplicate keys and tags of one's own; answer the surprises."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        line = node.start_mark.line + 1
        if node.tag not in _TAGS:
            raise YamlError(Problem(line, f"The tag {node.tag!r} is not allowed."))
        if isinstance(node, yaml.MappingNode):
            keys: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                at = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise YamlError(Problem(at, "A key must be a single word or number."))
                same = (key.tag, key.value)
                if same in keys and key.tag != _TAG + "merge":
                    raise YamlError(
                        Problem(at, f"The key {key.value!r} is there twice; it is on line {keys[same]} too.")
                    )
                keys[same] = at
                waiting.append(key)
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif _surprising(node):
            kind = node.tag.removeprefix(_TAG)
            yield Problem(
                line, f"YAML reads {node.value} as {_KINDS[kind]}; write it in quotes if it is text."
            )


_KINDS: Final = {"bool": "yes or no", "int": "a number", "float": "a number", "timestamp": "a date"}


def _surprising(node: Any) -> bool:
    if node.style in ("'", '"', "|", ">") or node.tag.removeprefix(_TAG) not in _KINDS:
        return False
    text = node.value.lower()
    kind = node.tag.removeprefix(_TAG)
    if kind == "bool":
        return text not in ("true", "false")
    if kind == "timestamp":
        return True
    return not text.lstrip("+-").replace(".", "", 1).replace("e", "", 1).lstrip("+-").isdecimal() or (
        kind == "int" and len(text.lstrip("+-")) > 1 and text.lstrip("+-").startswith("0")
    )


def _first_bad(root: Any, yaml: Any) -> int:
    """The line of the first scalar that cannot be made into a value."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            try:
                yaml.constructor.SafeConstructor().construct_object(node)
            except Exception:  # whatever it is, this is the one
                return int(node.start_mark.line) + 1
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(reversed(node.value))
        elif isinstance(node, yaml.MappingNode):
            waiting.extend(part for pair in reversed(node.value) for part in reversed(pair))
    return 1


def _below(node: Any, step: str | int) -> Any:
    content = getattr(node, "value", None)
    if not isinstance(content, list):
        return None
    if isinstance(step, int):
        return content[step] if 0 <= step < len(content) and not isinstance(content[step], tuple) else None
    for pair in content:
        if isinstance(pair, tuple) and pair[0].value == step:
            return pair[1]
    return None
