"""Every command there is, by walking the parsers: for what has to hold wherever an argument is taken."""

import argparse
from collections.abc import Iterator, Sequence

import pytest

from console.commands.parser import NOUNS, Parser, command, parse
from console.commands.problem import Problem


def refused(argv: Sequence[str]) -> str:
    """What is said of a command line that means nothing: one line, and a code of its own."""
    with pytest.raises(Problem) as problem:
        parse(argv)
    assert problem.value.code == 2
    text = str(problem.value)
    assert "\n" not in text
    return text


def leaves() -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Each noun without verbs, and each verb without verbs below it: its words, and its parser."""
    for noun in NOUNS:
        parser = Parser(prog=f"limegrove {noun}")
        command(noun).configure(parser)
        yield from _below((noun,), parser)


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a command takes besides help, flags, and the options of every command."""
    common = {"help", "output", "scope", "env", "read_only", "offline", "yes", "debug"}
    return [each for each in parser._actions if each.dest not in common and each.nargs != 0]


def takes_numbers(action: argparse.Action) -> bool:
    """Whether an argument is a number."""
    return getattr(action.type, "__name__", "") in ("int", "float")


def line(
    path: tuple[str, ...], parser: argparse.ArgumentParser, target: argparse.Action, word: str
) -> list[str]:
    """A command line with all that is required, and `word` as what `target` is given."""
    words = list(path)
    for action in arguments(parser):
        needed = action.required if action.option_strings else action.nargs not in ("?", "*")
        if action is not target and not needed:
            continue
        given = word if action is target else _some(action)
        words += [f"{action.option_strings[-1]}={given}"] if action.option_strings else [given]
    return words


def _some(action: argparse.Action) -> str:
    if action.choices:
        return str(next(iter(action.choices)))
    return "1" if takes_numbers(action) else "x"


def _below(
    path: tuple[str, ...], parser: argparse.ArgumentParser
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from _below((*path, name), child)
            return
    yield path, parser
