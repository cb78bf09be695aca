"""What a command line means, and what it is told when it means nothing."""

import subprocess
import sys

import pytest

from console.__main__ import main
from console.commands.parser import NOUNS, parse
from console.commands.problem import Problem


def said(argv):
    with pytest.raises(Problem) as problem:
        parse(argv)
    assert problem.value.code == 2
    text = str(problem.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "argv",
    [
        ["--output", "csv", "--scope", "emea", "org", "list"],
        ["org", "--output", "csv", "--scope", "emea", "list"],
        ["org", "list", "--output", "csv", "--scope", "emea"],
        ["--scope=emea", "org", "--output=csv", "list"],
    ],
)
def test_an_option_of_every_command_stands_anywhere(argv):
    arguments = parse(argv)

    assert (arguments.noun, arguments.verb) == ("org", "list")
    assert (arguments.output, arguments.scope) == ("csv", "emea")


def test_an_option_before_the_noun_is_not_undone_by_the_verbs_default():
    arguments = parse(["--read-only", "--offline", "--yes", "--debug", "--env", "prod", "org", "list"])

    assert arguments.read_only
    assert arguments.offline
    assert arguments.yes
    assert arguments.debug
    assert arguments.env == "prod"


def test_what_was_not_given_is_there_all_the_same():
    arguments = parse(["org", "list"])

    assert arguments.output is None
    assert arguments.scope is None
    assert arguments.env is None
    assert arguments.read_only is False
    assert arguments.offline is False
    assert arguments.yes is False
    assert arguments.debug is False


def test_without_a_noun_it_is_the_console():
    arguments = parse(["--read-only"])

    assert arguments.noun is None
    assert arguments.read_only


def test_a_scope_named_like_a_noun_is_not_taken_for_the_noun():
    arguments = parse(["--scope", "alert", "org", "list"])

    assert (arguments.noun, arguments.scope) == ("org", "alert")


def test_an_unknown_noun_is_named_with_the_one_it_resembles():
    assert said(["alrt", "list"]) == (
        "There is no 'alrt' here; `limegrove --help` lists what there is. Did you mean `alert`?"
    )


def test_an_unknown_noun_is_told_where_they_are_listed():
    assert "There is no 'cloud' here" in said(["cloud", "export"])


def test_an_unknown_verb_is_told_which_there_are():
    assert said(["org", "destroy"]).startswith("`org` has no verb 'destroy'; it has list, show, ")


def test_a_missing_verb_is_told_where_they_are_listed():
    assert said(["org"]) == "`org` needs a verb; `limegrove org --help` lists them."


def test_an_unknown_option_is_named():
    assert (
        said(["org", "list", "--frobnicate"]) == "'--frobnicate' means nothing here; see `limegrove --help`."
    )


def test_a_shortened_option_is_not_guessed_at():
    said(["org", "list", "--out", "json"])


def test_an_unknown_output_is_told_which_there_are():
    assert said(["--output", "xml", "org", "list"]) == (
        "--output cannot be 'xml'; it takes table, json, jsonl, yaml, csv."
    )


def test_an_option_without_its_value_is_one_sentence():
    assert "--scope" in said(["org", "list", "--scope"])


def test_a_missing_word_is_named():
    assert said(["org", "show"]) == "`limegrove org show` needs OID|NAME; see `limegrove org show --help`."


def test_a_hostile_word_is_made_safe_and_exits_with_2(capsys):
    assert main(["org\x1b]0;owned\x07"]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    assert "\x07" not in err
    assert err.startswith("limegrove: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_every_noun_that_help_lists_has_a_help_of_its_own(noun, capsys):
    with pytest.raises(SystemExit) as left:
        main([noun, "--help"])

    assert left.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: limegrove {noun}")
    assert NOUNS[noun][1:] in " ".join(out.split())


def test_help_fits_a_terminal_of_eighty_columns_and_lists_every_noun(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for noun in NOUNS:
        assert any(line.startswith(f"  {noun} ") for line in lines)


def test_version_is_the_packages_own(capsys):
    from console import __version__

    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert left.value.code == 0
    assert capsys.readouterr().out == f"limegrove {__version__}\n"


def test_the_program_itself_exits_with_2_and_one_sentence():
    ran = subprocess.run(
        [sys.executable, "-m", "console", "alert", "explode"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("limegrove: `alert` has no verb 'explode'; it has list, show, ")
    assert ran.stderr.count("\n") == 1


def test_without_a_terminal_the_console_says_so_and_exits_with_2(limegrove):
    answer = limegrove()

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("limegrove: The console needs a terminal; ")
