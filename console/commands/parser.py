"""The command line, read without importing more than the noun that was used."""

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from console.commands.problem import Problem

if TYPE_CHECKING:
    from console.commands.session import Session

NOUNS: dict[str, str] = {
    "demo": "the console on a realistic provider in a sandbox; no account",
    "sync": "read LimaCharlie into the store, once or for good",
    "tree": "the provider's hierarchy over its organizations",
    "org": "the organizations, and how each of them is",
    "alert": "the queue over all organizations",
    "case": "the cases of all organizations, and what is wanted of them",
    "sensor": "one machine: its card, cut it off, let it back, tag it",
    "search": "LCQL over the organizations of a scope, its price first",
    "rollout": "what templates want: planned, approved, brought out in waves",
    "drift": "where organizations are not as templates want them, and by whom",
    "template": "infrastructure documents: checked, kept, laid over the tree",
    "report": "for customers, for management, on service levels, on ATT&CK coverage",
    "billing": "usage, quotas, and what customers are charged by your own prices",
    "access": "who may do what, and through what",
    "key": "API keys: made from recipes, handed over once, rotated, revoked",
    "auth": "credentials, kept in the keyring",
    "journal": "what this console changed, and whether that record is whole",
    "bundle": "a scope in one signed file, for review without the cloud",
    "store": "the store: state, upgrade, check, backup, restore",
    "doctor": "the posture of this installation, machine-readable",
    "config": "the settings in force, and where each comes from",
    "sandbox": "a stand-in for LimaCharlie's cloud, for trials and tests",
}
"""noun -> what `--help` says of it. The module is `console.commands.NOUN`."""

OUTPUTS = ("table", "json", "jsonl", "yaml", "csv")

DEFAULTS: dict[str, Any] = {
    "output": None,
    "scope": None,
    "env": None,
    "read_only": False,
    "offline": False,
    "yes": False,
    "debug": False,
    "noun": None,
    "verb": None,
}
"""What an option that was not given is in the parsed arguments."""

PROGRAM = "limegrove"

_COMMON: dict[str, dict[str, Any]] = {
    "--output": {
        "choices": OUTPUTS,
        "help": "how to print; unless said otherwise a table on a terminal, JSON to a pipe",
    },
    "--scope": {"metavar": "NODE", "help": "only what is below this node: its id, path, name or oid"},
    "--env": {"metavar": "NAME", "help": "the environment: a named set of credentials"},
    "--read-only": {"action": "store_true", "help": "refuse whatever would change something"},
    "--offline": {"action": "store_true", "help": "never reach the network"},
    "--yes": {"action": "store_true", "help": "answer questions with yes"},
    "--debug": {"action": "store_true", "help": "keep a log in the workspace, without secrets"},
}
_WITH_VALUE = ("--output", "--scope", "--env")

_ALSO = {"--org": "--organization"}
"""Other names of options, taken and not told."""

LARGEST = 2**63 - 1
"""The largest whole number that the store can hold, and that any argument may be."""

_NEGATIVE = re.compile(r"-\.?\d")
"""What a word begins with that is a value and no option: `-5d`, of which its reader says what is wrong."""


def whole(low: int = -LARGEST - 1, high: int = LARGEST) -> Callable[[str], int]:
    """A type of arguments: whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(
                f"{_short(text)} is too small; it takes whole numbers from {low} on"
            )
        if value > high:
            raise argparse.ArgumentTypeError(
                f"{_short(text)} is too large; it takes whole numbers up to {high}"
            )
        return value

    read.__name__ = "int"  # argparse names it in its complaint
    return read


def number(
    low: float = -LARGEST, high: float = LARGEST, *, above: float = -math.inf
) -> Callable[[str], float]:
    """A type of arguments: finite numbers from `low` to `high`, and greater than `above`."""

    def read(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{_short(text)} is no number that can be used")
        if value <= above:
            raise argparse.ArgumentTypeError(f"{_short(text)} is too small; it takes numbers above {above:g}")
        if value < low:
            raise argparse.ArgumentTypeError(f"{_short(text)} is too small; it takes numbers from {low:g} on")
        if value > high:
            raise argparse.ArgumentTypeError(f"{_short(text)} is too large; it takes numbers up to {high:g}")
        return value

    read.__name__ = "float"
    return read


class Command(Protocol):
    """What each module of a noun is."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the noun's options, or its verbs."""

    def run(self, session: "Session") -> int:
        """Do what the arguments ask for; answers the exit code."""


def command(noun: str | None) -> Command:
    """The module of a noun; None is the console itself. Importing it is all that it costs."""
    return cast(Command, import_module(f"console.commands.{noun or 'console'}"))


class Parser(argparse.ArgumentParser):
    """A parser that takes the options of every command wherever they stand, and complains in one sentence."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", _formatter)
        super().__init__(*arguments, **options)
        self._negative_number_matcher = _NEGATIVE
        self.register("type", int, whole())
        self.register("type", float, number())
        self.register("action", "parsers", _Verbs)
        top = self.prog == PROGRAM
        if not top:
            self.epilog = f"What every command takes (--output, --scope, ...) is in `{PROGRAM} --help`."
        common = self.add_argument_group("options of every command, before or after its name")
        # SUPPRESS: a parser below must not put its default over what was given to one above.
        unset: Any = argparse.SUPPRESS
        for option, settings in _COMMON.items():
            common.add_argument(option, **(settings | {"default": unset} | ({} if top else {"help": unset})))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; an option that has another name is taken by that too."""
        known = self._option_string_actions
        for one, other in _ALSO.items():
            if one in known:
                known.setdefault(other, known[one])
        return super().parse_known_args(args, namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """What was given to an argument. An empty text is nothing: a variable that was not set is a slip."""
        if action.nargs not in (argparse.PARSER, argparse.REMAINDER):
            for text in arg_strings:
                if not text.strip():
                    raise argparse.ArgumentError(action, "cannot be empty; give a value, or leave it out")
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong, as one sentence.

        Raises:
            Problem: always, with exit code 2.
        """
        raise Problem(_sentence(self.prog, message), code=2)


class _Verbs(argparse._SubParsersAction):  # type: ignore[type-arg]
    """What is below a noun; what its help says of a verb begins the verb's own help."""

    def add_parser(self, name: str, **options: Any) -> Any:
        says = options.get("help")
        if says and says is not argparse.SUPPRESS and not options.get("description"):
            options["description"] = _capital(says)
        return super().add_parser(name, **options)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line.

    Args:
        argv: without the program's name.

    Returns:
        A namespace with every key of DEFAULTS, and what the noun added.

    Raises:
        Problem: it means nothing; exit code 2.
        SystemExit: `--help` and `--version`, after printing.
    """
    _refuse_no_text(argv)
    noun = _noun_of(argv)
    parser = _top_level(noun)
    given = parser.parse_args(argv)
    return argparse.Namespace(**(DEFAULTS | vars(given)))


def _refuse_no_text(argv: Sequence[str]) -> None:
    """Bytes that are no UTF-8 come as lone surrogates, which neither the store nor the cloud can take."""
    for word in argv:
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = word.encode("utf-8", "backslashreplace").decode()
            raise Problem(f"`{_short(shown)}` is no valid text: it is not UTF-8.", code=2) from None


def _short(text: str) -> str:
    """An operator's word in a complaint, which need not be said whole."""
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}.."


_SHORT = 40


def _noun_of(argv: Sequence[str]) -> str | None:
    """The first word that is neither an option nor an option's value."""
    words = iter(argv)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _top_level(noun: str | None) -> Parser:
    from console import __version__

    parser = Parser(
        prog=PROGRAM,
        usage="limegrove [options] [NOUN [VERB] ...]",
        description="All your LimaCharlie organizations in one terminal. Without a noun: the console.",
        epilog=None if noun else _catalogue(),
    )
    parser.add_argument("--version", action="version", version=f"limegrove {__version__}")
    if noun is None:
        return parser
    if noun not in NOUNS:
        raise Problem(
            f"There is no {noun!r} here; `limegrove --help` lists what there is.{_nearest(noun, NOUNS)}",
            code=2,
        )
    nouns = parser.add_subparsers(dest="noun", metavar="NOUN", parser_class=Parser)
    # `prog` as the operator types it, whatever the usage line above says.
    below = nouns.add_parser(
        noun, help=NOUNS[noun], description=_capital(NOUNS[noun]), prog=f"{PROGRAM} {noun}"
    )
    command(noun).configure(below)
    return parser


def _catalogue() -> str:
    width = max(map(len, NOUNS)) + 2
    lines = [f"  {noun:<{width}}{help_}" for noun, help_ in NOUNS.items()]
    return "nouns (each has its own --help):\n" + "\n".join(lines)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _sentence(prog: str, message: str) -> str:
    """argparse's complaint in our words."""
    noun = prog.removeprefix(PROGRAM).strip()
    choice = re.fullmatch(r"argument (.+): invalid choice: (.+) \(choose from (.+)\)", message, re.DOTALL)
    if choice:
        what, got, allowed = choice.groups()
        allowed = allowed.replace("'", "")
        if what in ("VERB", "verb"):
            return f"`{noun}` has no verb {got}; it has {allowed}."
        return f"{what} cannot be {got}; it takes {allowed}."
    if message.startswith("the following arguments are required: "):
        missing = message.partition(": ")[2]
        if missing in ("VERB", "verb"):
            return f"`{noun}` needs a verb; `limegrove {noun} --help` lists them."
        return f"`{prog}` needs {missing}; see `{prog} --help`."
    if message.startswith("unrecognized arguments: "):
        return f"{message.partition(': ')[2]!r} means nothing here; see `{prog} --help`."
    return f"{_capital(message.removeprefix('argument '))} See `{prog} --help`."


def _nearest(word: str, known: Sequence[str] | dict[str, str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, list(known), 1)
    return f" Did you mean `{close[0]}`?" if close else ""


class _Help(argparse.HelpFormatter):
    """Nothing is wider than the terminal, as far as words allow."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs are filled; a line that begins with a space keeps its place and goes on below it."""
        import textwrap

        paragraph: list[str] = []
        found: list[str] = []

        def fill() -> None:
            if paragraph:
                found.extend(
                    textwrap.wrap(" ".join(paragraph), width, break_long_words=False, break_on_hyphens=False)
                )
                paragraph.clear()

        for line in text.splitlines():
            if line[:1].isspace() or not line:
                fill()
                column = re.match(r" *\S+(?: \S+)* {2,}|(?: *)", line)
                below = " " * (column.end() if column else 0)
                found.extend(
                    [line]
                    if len(line) <= width
                    else textwrap.wrap(
                        line, width, subsequent_indent=below, break_long_words=False, break_on_hyphens=False
                    )
                )
            else:
                paragraph.append(line)
        fill()
        return "\n".join(indent + line for line in found)

    def _format_usage(self, *arguments: Any) -> str:
        usage = super()._format_usage(*arguments)
        lines = usage.split("\n")
        deep = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
        if deep > _BELOW and any(len(line) > self._width for line in lines):
            lines[1:] = [line[deep - _BELOW :] if line.strip() else line for line in lines[1:]]
        return "\n".join(lines)

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Any:
        """Many choices are said in the help of an option, and not where it is used."""
        if _is_long(action):
            return lambda size: (default_metavar,) * size
        return super()._metavar_formatter(action, default_metavar)

    def _expand_help(self, action: argparse.Action) -> str:
        said = super()._expand_help(action)
        if not _is_long(action):
            return said
        return f"{said}; one of {', '.join(map(str, action.choices or ()))}"


_BELOW = 11
"""Columns before the lines of a usage that is too wide else."""


def _is_long(action: argparse.Action) -> bool:
    if action.metavar is not None or action.choices is None:
        return False
    return len(",".join(map(str, action.choices))) > 30


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Knows the width without importing shutil, which costs as much as argparse itself."""
    try:
        width = int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        try:
            width = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns
        except (OSError, ValueError):
            width = 80
    return _Help(prog, max_help_position=26, width=max(40, min(width, 100) - 2))
