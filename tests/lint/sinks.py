"""Finds the places where a stranger's text would reach a terminal raw, or be read as markup.

    python -m tests.lint.sinks [FILE ...]

Read are `console/`, `screens/` and `store/`. Textual parses markup in most strings it is given, so those sinks take a
literal without brackets, or what `screens.widgets.text` and `Content` make, or say `markup=False`. And wherever text is
turned into something shown, a field that a stranger filled (typed `Untrusted` in `store/queries`) passes `safe_text`,
`fit` or a helper first. A line that is right all the same says why: `# ours: a command's name, from our own table`.

The analysis follows names within one function; what passes through calls is caught by the guard and the sink test.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("console", "screens", "store")
HELPERS = "screens/widgets/text.py"

MATRIX = frozenset(
    {
        "Button", "Checkbox", "Collapsible", "DataTable", "Digits", "DirectoryTree", "Footer", "Header", "Input", "Label",
        "Link", "ListItem", "ListView", "Log", "Markdown", "OptionList", "Option", "Placeholder", "Pretty", "ProgressBar",
        "RadioButton", "RadioSet", "RichLog", "Rule", "Select", "SelectionList", "Selection", "Sparkline", "Static", "Switch",
        "Tab", "TabbedContent", "TabPane", "Tabs", "TextArea", "Tree", "ContentSwitcher", "LoadingIndicator", "MaskedInput",
    }
)  # fmt: skip
"""Textual's widgets that tests/screens/test_sinks.py feeds with the corpus."""

MARKUP_CLASSES = frozenset(
    {
        "Button", "Checkbox", "Collapsible", "Label", "Link", "Option", "Placeholder", "RadioButton", "Selection",
        "Static", "Tab", "TabPane", "Tree",
    }
)  # fmt: skip
"""Their first arguments are read as markup when they are `str`."""

MARKUP_METHODS = frozenset(
    {
        "add_row",
        "add_rows",
        "add_column",
        "add_columns",
        "update_cell",
        "update_cell_at",
        "add_leaf",
        "add_option",
        "add_options",
        "set_label",
    }
)
MARKUP_ATTRIBUTES = frozenset({"border_title", "border_subtitle", "tooltip"})
PLAIN_ATTRIBUTES = frozenset({"title", "sub_title", "placeholder"})
SAFE_MAKERS = frozenset({"shown", "content", "line", "block", "segment", "Content", "Text", "Pretty"})
SANITIZERS = frozenset(
    {"safe_text", "safe_block", "safe_parts", "fit", "mixed_script", *SAFE_MAKERS - {"Content", "Text"}}
)
PASSING = frozenset(
    {
        "str",
        "max",
        "min",
        "sorted",
        "list",
        "tuple",
        "set",
        "next",
        "reversed",
        "iter",
        "enumerate",
        "zip",
        "format",
        "Untrusted",
        "cast",
    }
)
TEXT_METHODS = frozenset(
    {
        "strip", "lstrip", "rstrip", "upper", "lower", "title", "capitalize", "casefold", "replace", "join", "format", "ljust",
        "rjust", "center", "expandtabs", "split", "splitlines", "partition", "rpartition", "rsplit", "removeprefix", "removesuffix",
        "translate", "zfill", "get", "items", "values", "keys", "pop", "copy",
    }
)  # fmt: skip
OUR_NAMES = frozenset({"command", "column", "binding", "mode", "theme"})
"""Whose `.name` we wrote ourselves."""
OURS = re.compile(r"#\s*ours:\s*\S")


@dataclass(frozen=True)
class Finding:
    """A place and what is wrong there."""

    path: str
    line: int
    rule: str
    says: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.says}"


def untrusted_fields(root: Path = ROOT) -> frozenset[str]:
    """The names of the fields that `store/queries` types as `Untrusted`."""
    found = set()
    for path in sorted((root / "store" / "queries").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found |= {
                    item.target.id
                    for item in node.body
                    if isinstance(item, ast.AnnAssign)
                    and isinstance(item.target, ast.Name)
                    and "Untrusted" in ast.unparse(item.annotation)
                }
    return frozenset(found)


def check(source: str, path: str, fields: frozenset[str]) -> list[Finding]:
    """All findings of one module; `path` is relative to the root and decides which rules hold."""
    return sorted(_Module(source, path, fields).findings(), key=lambda finding: finding.line)


def check_tree(root: Path = ROOT) -> list[Finding]:
    """All findings of the three rooms."""
    fields = untrusted_fields(root)
    found = []
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            found += check(path.read_text("utf-8"), path.relative_to(root).as_posix(), fields)
    return found


class _Module:
    def __init__(self, source: str, path: str, fields: frozenset[str]) -> None:
        self.tree = ast.parse(source)
        self.lines = source.splitlines()
        self.path = path
        self.fields = fields
        self.in_screens = path.startswith("screens/")
        self.docstrings = {
            id(node.body[0].value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        self.widgets = self._imported("textual.widgets")
        self.uses_textual = bool(self.widgets) or any(
            (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("textual", "rich"))
            for node in ast.walk(self.tree)
        )
        constructors = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and _name(node.func) in ("Static", "Label")
        ]
        self.statics_are_plain = bool(constructors) and all(_says_no_markup(node) for node in constructors)

    def _imported(self, package: str) -> dict[str, int]:
        return {
            alias.name: node.lineno
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package)
            for alias in node.names
        }

    def findings(self) -> Iterator[Finding]:
        scopes: list[ast.AST] = [self.tree]
        scopes += [n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        seen = set()
        for scope in reversed(
            scopes
        ):  # innermost first, so that a node is judged with its own function's names
            names = self._tainted_names(scope)
            for node in ast.walk(scope):
                if id(node) in seen:
                    continue
                seen.add(id(node))
                for rule, says in self._judge(node, names):
                    line = getattr(node, "lineno", 1)
                    end = getattr(node, "end_lineno", line) or line
                    if not any(OURS.search(text) for text in self.lines[line - 1 : end]):
                        yield Finding(self.path, line, rule, says)
        if self.path.startswith(("screens/", "console/")):
            for name, line in self.widgets.items():
                if name not in MATRIX and name[:1].isupper():
                    yield Finding(
                        self.path, line, "matrix", f"{name} has no row in tests/screens/test_sinks.py"
                    )

    def _judge(self, node: ast.AST, names: frozenset[str]) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("markup"):
            if any(alias.name == "escape" for alias in node.names):
                yield (
                    "escape",
                    "textual's and rich's escape() can be bypassed; use safe_text and Content or Text",
                )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if (
                "@click" in node.value
                and id(node) not in self.docstrings
                and self.path != "screens/guard.py"
                and not self.path.startswith("console/sandbox/")
            ):
                yield "click", "an action in a literal; post a message instead"
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and node.value is not None and self.uses_textual:
                    if target.attr in MARKUP_ATTRIBUTES and not self._is_content(node.value):
                        yield (
                            "markup",
                            f"{target.attr} reads markup: give it Content or a literal without brackets",
                        )
                    elif target.attr in PLAIN_ATTRIBUTES and self._tainted(node.value, names):
                        yield "raw", f"{target.attr} gets text that did not pass safe_text"
        elif isinstance(node, ast.Call):
            yield from self._judge_call(node, names)

    def _judge_call(self, node: ast.Call, names: frozenset[str]) -> Iterator[tuple[str, str]]:
        name = _name(node.func)
        owner = _name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        arguments = [*node.args, *(word.value for word in node.keywords)]
        if any(
            word.arg == "markup" and isinstance(word.value, ast.Constant) and word.value.value is True
            for word in node.keywords
        ):
            yield "markup", "markup=True turns text into code"
        if name == "escape" and owner in ("", "markup"):
            yield "escape", "escape() can be bypassed; use safe_text and Content or Text"
        if name == "from_markup":
            if owner == "Text":
                yield "markup", "Text.from_markup reads markup; use Text"
            elif not (node.args and isinstance(node.args[0], ast.Constant)):
                yield "markup", "Content.from_markup takes a literal, and $variables for the rest"
        if name in ("Markdown", "MarkdownViewer"):
            yield "markdown", "links in Markdown open on a click"
        if name == "print" and self.in_screens:
            yield "print", "a screen does not print"
        if not self.uses_textual:
            if name == "print" and any(self._tainted(argument, names) for argument in arguments):
                yield "raw", "printed without safe_text"
            return
        first = node.args[:1] or [
            word.value for word in node.keywords if word.arg in ("content", "label", "prompt", "title")
        ]
        if (
            name in MARKUP_CLASSES
            and (name in self.widgets or name in ("Static", "Label"))
            and not _says_no_markup(node)
        ):
            if any(not self._is_content(argument) for argument in first):
                yield (
                    "markup",
                    f"{name} reads markup: give it Content, or markup=False, or a literal without brackets",
                )
        elif name in MARKUP_METHODS and any(
            not self._is_content(argument, table=True) for argument in node.args
        ):
            yield "markup", f"{name}() reads markup in a str: give it shown() or Content"
        elif name == "notify":
            if not _says_no_markup(node) and any(
                not self._is_content(argument) for argument in node.args[:1]
            ):
                yield "markup", "notify() reads markup: say markup=False"
        elif name == "update" and node.args and _is_widget(node.func) and not self.statics_are_plain:
            if not self._is_content(node.args[0]):
                yield "markup", "update() reads markup: give it Content, or make the widget with markup=False"
        elif name == "add" and "Tree" in self.widgets and any(not self._is_content(a) for a in node.args[:1]):
            yield "markup", "a tree's label reads markup: give it shown()"
        for word in node.keywords:
            if word.arg in MARKUP_ATTRIBUTES and isinstance(word.value, ast.JoinedStr | ast.BinOp):
                yield "markup", f"{word.arg} reads markup: give it Content or a literal without brackets"
        shows = (
            name
            in {
                *MARKUP_CLASSES,
                "Content",
                "Text",
                "Segment",
                "Input",
                "TextArea",
                "Digits",
                "notify",
                "print",
                "write_line",
            }
            or (name in ("styled", "assemble", "from_markup") and owner in ("Content", "Text"))
            or (name == "update" and _is_widget(node.func))
            or name in MARKUP_METHODS
        )
        if shows and self.path != HELPERS and any(self._tainted(argument, names) for argument in arguments):
            yield "raw", f"{name}() gets text that did not pass safe_text, fit or a helper"

    def _is_content(self, node: ast.expr, *, table: bool = False) -> bool:
        """Whether an argument cannot be read as markup."""
        if isinstance(node, ast.Constant):
            return not isinstance(node.value, str) or "[" not in node.value
        if isinstance(node, ast.Call):
            name = _name(node.func)
            owner = _name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            return (
                name in SAFE_MAKERS
                or owner in ("Content", "Text")
                or name in ("stylize", "stylize_before", "truncate")
                or (
                    name == "join"
                    and isinstance(node.func, ast.Attribute)
                    and self._is_content(node.func.value)
                    and not isinstance(node.func.value, ast.Constant)
                )
            )
        if isinstance(node, ast.Starred):
            return self._is_content(node.value, table=table)
        if isinstance(node, ast.IfExp):
            return self._is_content(node.body) and self._is_content(node.orelse)
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            return self._is_content(node.elt)
        if isinstance(node, ast.Tuple | ast.List):
            return all(self._is_content(element) for element in node.elts)
        return False

    def _tainted_names(self, scope: ast.AST) -> frozenset[str]:
        names: set[str] = set()
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]:
                if argument.annotation is not None and "Untrusted" in ast.unparse(argument.annotation):
                    names.add(argument.arg)
        for _ in range(3):  # a name may be made of a name that is assigned further down, in a loop
            before = len(names)
            for node in ast.walk(scope):
                if isinstance(node, ast.Assign) and self._tainted(node.value, frozenset(names)):
                    names |= {leaf for target in node.targets for leaf in _leaves(target)}
                elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
                    if node.value is not None and self._tainted(node.value, frozenset(names)):
                        names |= set(_leaves(node.target))
                elif isinstance(node, ast.For | ast.comprehension) and self._tainted(
                    node.iter, frozenset(names)
                ):
                    names |= set(_leaves(node.target))
            if len(names) == before:
                break
        return frozenset(names)

    def _tainted(self, node: ast.AST | None, names: frozenset[str]) -> bool:
        """Whether an expression may hold a stranger's text as it came."""
        match node:
            case ast.Name():
                return node.id in names
            case ast.Attribute():
                return node.attr in self.fields and not (
                    node.attr == "name" and _name(node.value) in OUR_NAMES
                )
            case ast.JoinedStr():
                return any(self._tainted(value, names) for value in node.values)
            case ast.FormattedValue():
                numeric = node.format_spec is not None and re.search(
                    r"[,dfxeg%]'?\)?$", ast.unparse(node.format_spec).strip("f'\"")
                )
                return not numeric and self._tainted(node.value, names)
            case ast.BinOp():
                return self._tainted(node.left, names) or self._tainted(node.right, names)
            case ast.BoolOp():
                return any(self._tainted(value, names) for value in node.values)
            case ast.IfExp():
                return self._tainted(node.body, names) or self._tainted(node.orelse, names)
            case ast.Subscript() | ast.Starred() | ast.NamedExpr() | ast.Await():
                return self._tainted(node.value, names)
            case ast.Tuple() | ast.List() | ast.Set():
                return any(self._tainted(element, names) for element in node.elts)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                return self._tainted(node.elt, names)
            case ast.Call():
                name = _name(node.func)
                if name in SANITIZERS:
                    return False
                inside = any(
                    self._tainted(argument, names)
                    for argument in [*node.args, *(word.value for word in node.keywords)]
                )
                if isinstance(node.func, ast.Attribute) and name in TEXT_METHODS:
                    return inside or self._tainted(node.func.value, names)
                return isinstance(node.func, ast.Name) and name in PASSING and inside
            case _:
                return False


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _leaves(target: ast.AST) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _leaves(element)
    elif isinstance(target, ast.Starred):
        yield from _leaves(target.value)


def _says_no_markup(node: ast.Call) -> bool:
    return any(
        word.arg == "markup" and isinstance(word.value, ast.Constant) and word.value.value is False
        for word in node.keywords
    )


def _is_widget(function: ast.expr) -> bool:
    """Whether a method is called on something that was looked up as a widget, such as `query_one("#x", Static)`."""
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    if isinstance(owner, ast.Call):
        return _name(owner.func) in (
            "query_one",
            "query_exactly_one",
            "get_child_by_id",
            "get_widget_by_id",
            "Static",
            "Label",
        )
    return bool(re.search(r"(label|static|widget|notice|banner|status|calm|text)$", _name(owner)))


def main(arguments: list[str]) -> int:
    """Prints the findings of the files named, or of the whole tree; 1 when there are any."""
    if arguments:
        fields = untrusted_fields()
        found = [
            finding
            for argument in arguments
            for finding in check(
                Path(argument).read_text("utf-8"),
                Path(argument).resolve().relative_to(ROOT).as_posix(),
                fields,
            )
        ]
    else:
        found = check_tree()
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
