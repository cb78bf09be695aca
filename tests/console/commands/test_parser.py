"""What a command line means, and what it is told when it means nothing."""

import argparse
import contextlib
import subprocess
import sys

import pytest

from console.__main__ import main
from console.commands.parser import NOUNS, _top_level, parse
from console.commands.problem import Problem
from tests.helpers.verbs import refused


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
    assert refused(["alrt", "list"]) == (
        "There is no 'alrt' here; `limegrove --help` lists what there is. Did you mean `alert`?"
    )


def test_an_unknown_noun_is_told_where_they_are_listed():
    assert "There is no 'cloud' here" in refused(["cloud", "export"])


def test_an_unknown_verb_is_told_which_there_are():
    assert refused(["org", "destroy"]).startswith("`org` has no verb 'destroy'; it has list, show, ")


def test_a_missing_verb_is_told_where_they_are_listed():
    assert refused(["org"]) == "`org` needs a verb; `limegrove org --help` lists them."


def test_an_unknown_option_is_named():
    assert (
        refused(["org", "list", "--frobnicate"])
        == "'--frobnicate' means nothing here; see `limegrove --help`."
    )


def test_a_shortened_option_is_not_guessed_at():
    refused(["org", "list", "--out", "json"])


def test_an_unknown_output_is_told_which_there_are():
    assert refused(["--output", "xml", "org", "list"]) == (
        "--output cannot be 'xml'; it takes table, json, jsonl, yaml, csv."
    )


def test_an_option_without_its_value_is_one_sentence():
    assert "--scope" in refused(["org", "list", "--scope"])


def test_a_missing_word_is_named():
    assert refused(["org", "show"]) == "`limegrove org show` needs OID|NAME; see `limegrove org show --help`."


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


def verbs(parser, path=()):
    """(words, parser, what the help above says of it) of everything below a noun that has a help of its own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            says = {each.dest: each.help for each in action._choices_actions}
            for name, below in action.choices.items():
                yield (*path, name), below, says[name]
                yield from verbs(below, (*path, name))


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_every_verb_says_in_its_own_help_what_it_does_within_eighty_columns(noun, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    found = list(verbs(_top_level(noun)))
    assert (noun,) == found[0][0]
    for words, parser, says in found:
        text = parser.format_help()
        assert [line for line in text.splitlines() if len(line) > 80] == [], words
        assert text.startswith(f"usage: limegrove {' '.join(words)}"), words
        assert says, words
        assert parser.description, words
        shown, wanted = (" ".join(each.split()) for each in (text, parser.description))
        assert wanted in shown, words


def test_a_verb_s_own_help_says_what_the_noun_s_help_says_of_it(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["case", "note", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert "Add a note; the text is read from standard input unless given." in lines
    # What may be chosen is told with the option, not in the line above.
    assert any("--type TYPE" in line for line in lines[:3])
    assert "one of general, analysis, remediation, recommendation," in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_one_organization_is_named_alike_by_every_verb(noun):
    """By `--org`, which is what help says; `--organization` is taken as well."""
    for words, parser, _ in verbs(_top_level(noun)):
        assert "--organization" not in parser.format_help(), words
        parser._option_string_actions.pop("--organization", None)
        if "--org" in parser._option_string_actions:
            with contextlib.suppress(Problem):
                parser.parse_known_args([])
            assert parser._option_string_actions["--organization"].option_strings == ["--org"], words


def test_an_organization_is_named_by_either_word():
    assert parse(["alert", "list", "--organization", "Acme"]).organization == "Acme"
    assert parse(["alert", "list", "--org", "Acme"]).organization == "Acme"
    assert parse(["access", "matrix", "--organization=Acme"]).org == "Acme"
    with pytest.raises(Problem, match="needs --permission, --org;"):
        parse(["access", "who", "sensor.task"])


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
