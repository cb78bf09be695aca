"""Tables, JSON, YAML and CSV of whatever a stranger wrote."""

import argparse
import csv
import io
import json

import pytest
import yaml

from console.commands.output import csv_text, fields_text, json_text, table, yaml_text
from console.commands.session import Session
from console.operations.ports import Progress
from store.text import cell_width, safe_text

HOSTILE = [
    "plain",
    "",
    "Müller & Söhne",
    "山田電機",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "a\u202egpj.exe",
    "zero\u200bwidth",
    "line\nbreak\r\n\ttab",
    "nul\x00",
    "del\x7f",
    "\U000e0041tag",
    "\ud800 lone",
    "=cmd|' /C calc'!A0",
    '"quoted", and; more',
    "no",
    "010",
    "12:30:45",
    "~",
    "- item: [x]",
    "'",
    "2026-01-31",
    "[/foo] [@click=quit]x[/]",
]


def forbidden(line):
    return safe_text(line, len(line) + 1) != line


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_exact_and_cannot_steer_a_terminal(text):
    written = json_text({"name": text, text: [1, None, True]})

    assert json.loads(written) == {"name": text, text: [1, None, True]}
    assert not forbidden(written)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_nested_is_told_in_words_within_the_terminal(text):
    thing = {
        "name": text,
        "events": [
            {
                "time": "09:00",
                "by": text,
                "metadata": {"old": "new", "new": text, "is_public": False, "no": None},
            },
            {
                "time": "09:01",
                "by": "mk",
                "metadata": {"content": f"{text} long words {'x' * 200} 山田電機 " * 3},
            },
        ],
    }
    for width in (40, 80, 133):
        lines = fields_text(thing, width=width).splitlines()
        assert max(map(cell_width, lines)) <= width
        assert not any(forbidden(line) for line in lines)
        assert not any("{" in line or '":' in line for line in lines)
    wide = fields_text(thing)
    assert "old new, " in wide
    assert "is public no" in wide
    assert len(wide.splitlines()) == 4


@pytest.mark.parametrize("text", HOSTILE)
def test_indented_json_is_exact_and_every_line_of_it_is_safe(text):
    written = json_text([{"name": text}], indent=True)

    assert json.loads(written) == [{"name": text}]
    assert not any(forbidden(line) for line in written.split("\n"))


def test_json_keeps_integers_that_64_bits_do_not_hold():
    assert json.loads(json_text({"n": 2**80})) == {"n": 2**80}


@pytest.mark.parametrize("text", HOSTILE)
def test_yaml_is_exact_and_cannot_steer_a_terminal(text):
    thing = [{"name": text, "more": {text or "x": [text, 1, None, True, 1.5]}}]
    written = yaml_text(thing)

    assert yaml.safe_load(written) == thing
    assert not any(forbidden(line) for line in written.split("\n"))


def test_yaml_keeps_names_readable_and_fields_in_their_order():
    assert yaml_text([{"name": "Müller", "id": "a"}]) == "- name: Müller\n  id: a\n"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1+2",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\x00=1",
        "＝1+1",
        "＋1",
        "－1",
        "＠x",
        "  =1",
        "\ufeff=1",
    ],
)
def test_csv_disarms_what_a_spreadsheet_takes_for_a_formula(text):
    (header, line) = list(csv.reader(io.StringIO(csv_text([{"name": text}], ["name"]), newline="")))

    assert header == ["name"]
    assert line == [f"'{text}"]


def test_csv_leaves_numbers_and_plain_text_alone():
    written = csv_text(
        [{"a": -5, "b": 1.5, "c": "x-y=z", "d": None, "e": True, "f": ["p", "q"]}], list("abcdef")
    )

    assert written == '"a","b","c","d","e","f"\r\n"-5","1.5","x-y=z","","true","[""p"",""q""]"\r\n'


@pytest.mark.parametrize(
    "text",
    [text for text in HOSTILE if text != "\ud800 lone" and not text.startswith("=") and text[:1] != "-"],
)
def test_csv_reads_back_equal(text):
    rows = list(csv.reader(io.StringIO(csv_text([{"a": text, "b": text}], ["a", "b"]), newline="")))

    assert rows[1] == [text, text]


def test_csv_of_a_lone_surrogate_is_still_utf8():
    csv_text([{"a": "\ud800"}], ["a"]).encode()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_fits_the_terminal_and_is_safe(width):
    rows = [
        {"name": text * 20, "oid": "8cbe27f4-bfa1-4afb-ba19-138cd51389cd", "sensors": 12} for text in HOSTILE
    ]

    lines = table(rows, ["name", "oid", "sensors"], width=width).splitlines()

    assert len(lines) == len(rows) + 1
    assert max(map(cell_width, lines)) <= width
    assert not any(forbidden(line) for line in lines)


def test_a_table_as_wide_as_it_takes_cuts_nothing():
    rows = [{"name": "x" * 300, "n": 5}, {"name": "y", "n": 12}]

    assert table(rows, ["name", "n"], width=None) == (
        "NAME" + " " * 296 + "   N\n" + "x" * 300 + "   5\n" + "y" + " " * 299 + "  12\n"
    )


def test_a_table_of_nothing_is_its_header():
    assert table([], ["name", "open_alerts"], width=80) == "NAME  OPEN ALERTS\n"


def test_fields_are_safe_and_nested_ones_indented():
    text = fields_text(
        {
            "name": "a\x1b[2J",
            "synced_at": None,
            "labels": {"tier": "gold"},
            "rules": [{"cat": "x", "n": 1}],
            "days": [1, 2],
        }
    )

    assert text.splitlines() == [
        "name       a\\x1b[2J",
        "synced at  -",
        "labels",
        "  tier  gold",
        "rules",
        "  x  1",
        "days       1, 2",
    ]


def test_how_far_an_operation_has_come_is_told_in_one_line_of_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(argparse.Namespace(output="json"))
    session.report(Progress(3, 1200, "organizations"))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    session.report(Progress(3, 1200, "organizations"))
    assert capsys.readouterr().err == "\r\x1b[K3 of 1,200 organizations"


@pytest.mark.parametrize("shown", ["rows", "object"])
def test_how_far_it_has_come_is_taken_away_before_what_came_of_it(
    shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(argparse.Namespace(output="json"))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    session.progress("6 of 6 steps")
    if shown == "rows":
        session.show_rows([{"run": 1}])
    else:
        session.show_object({"run": 1})
    said = capsys.readouterr()
    assert said.err.endswith("6 of 6 steps\r\x1b[K")
    assert json.loads(said.out) in ([{"run": 1}], {"run": 1})
