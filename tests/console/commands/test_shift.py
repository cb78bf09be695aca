"""`limegrove case handover`, `case campaign` and `alert queue`: a shift from the command line, by two operators."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.console.commands.conftest import OIDS

Limegrove = Callable[..., Any]


@pytest.fixture
def as_who(limegrove: Limegrove, filled: Any, monkeypatch: pytest.MonkeyPatch) -> Limegrove:
    """Runs a command as an operator: `as_who("dana", "case", "handover", "show")`."""

    def run(who: str, *words: str) -> Any:
        monkeypatch.setenv("LIMEGROVE_OPERATOR", who)
        return limegrove(*words, "--offline")

    return run


def test_a_shift_is_drafted_written_published_accepted_and_bounced(as_who: Limegrove) -> None:
    claimed = as_who("dana", "alert", "claim", "detection-0", "detection-3")
    assert claimed.code == 0, claimed.err
    draft = as_who("dana", "case", "handover", "draft", "--note", "quiet night", "--since", "8h")
    assert draft.code == 0, draft.err
    assert (draft.json["state"], draft.json["by"], draft.json["note"]) == ("draft", "dana", "quiet night")
    items = {item["organization"]: item for item in draft.json["items"]}
    assert set(items) == {"Acme Corp", "Evil\x1b]0;owned\x07 Ltd"}
    mine = items["Acme Corp"]
    assert [step["what"] for step in mine["done"]] == ["claimed"]
    written = as_who(
        "dana", "case", "handover", "draft", "--item", str(mine["item"]), "--hypothesis", "phish",
        "--next", "ask the user", "--blocker", "asleep",
    )  # fmt: skip
    assert (written.json["hypothesis"], written.json["next"], written.json["blocker"]) == (
        "phish", "ask the user", "asleep",
    )  # fmt: skip
    assert as_who("kim", "case", "handover", "show").json["offered"] == []
    assert as_who("kim", "case", "handover", "accept", str(mine["item"])).code == 5
    assert as_who("dana", "case", "handover", "publish").json["state"] == "published"
    offered = as_who("kim", "case", "handover", "show").json["offered"]
    assert (offered[0]["by"], offered[0]["left"]) == ("dana", 2)
    taken = as_who("kim", "case", "handover", "accept", str(mine["item"]))
    assert taken.code == 0, taken.err
    assert (taken.json[0]["state"], taken.json[0]["alerts"]) == ("accepted", 1)
    assert as_who("kim", "alert", "show", "detection-0").json["assignee"] == "kim"
    late = as_who("lee", "case", "handover", "accept", str(mine["item"]))
    assert late.code == 5
    assert "kim accepted it already" in late.err
    other = next(item for name, item in items.items() if name != "Acme Corp")
    both = as_who("kim", "case", "handover", "accept", str(mine["item"]), str(other["item"]))
    assert both.code == 3, "one was theirs already"
    again = as_who("kim", "case", "handover", "bounce", str(other["item"]), "--reason", "no")
    assert again.code == 5
    assert as_who("kim", "case", "handover", "show", str(offered[0]["id"])).json["state"] == "done"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("publish",), 2, "You have no draft"),
        (("draft", "--hypothesis", "x"), 2, "--item"),
        (("draft", "--since", "soon"), 2, "--since"),
        (("show", "99"), 2, "no hand-over 99"),
        (("accept", "99"), 2, "There is no item 99. Nothing was accepted."),
        (("withdraw", "99"), 2, "no hand-over 99"),
        (("bounce", "99", "--reason", "x"), 2, "no longer there"),
        (("draft", "--read-only"), 5, "read-only"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    as_who: Limegrove, words: tuple[str, ...], code: int, says: str
) -> None:
    answer = as_who("dana", "case", "handover", *words)
    assert answer.code == code
    assert says in answer.err


def test_an_empty_shift_is_not_published(as_who: Limegrove) -> None:
    assert as_who("dana", "case", "handover", "draft").json["items"] == []
    assert "nothing in it" in as_who("dana", "case", "handover", "publish").err


def test_a_campaign_is_over_several_customers_and_names_none_to_another(as_who: Limegrove) -> None:
    one = as_who(
        "mk", "case", "campaign", "create", "Beacon", "--alert", "detection-0", "--alert", "detection-1"
    )
    assert one.code == 5
    assert "one customer" in one.err
    made = as_who("mk", "case", "campaign", "create", "Beacon", "--filter", "status:any since:7d")
    assert made.code == 0, made.err
    number = str(made.json["id"])
    assert {member["oid"]: member["alerts"] for member in made.json["members"]} == {OIDS[0]: 3, OIDS[2]: 1}
    refused = as_who(
        "mk", "case", "campaign", "note", number, "--for", OIDS[2], "--text", "As at ACME corp, isolate it."
    )
    assert refused.code == 5
    assert "names Acme Corp" in refused.err
    assert made.json["notes"] == as_who("mk", "case", "campaign", "show", number).json["notes"] == []
    fine = as_who(
        "mk", "case", "campaign", "note", number, "--for", OIDS[0], "--text", "Acme: isolate web-0."
    )
    assert fine.code == 0, fine.err
    ours = as_who(
        "mk", "case", "campaign", "note", number, "--text", "Acme Corp and Böhm & Söhne share a vendor"
    )
    assert [note["for"] for note in ours.json["notes"]] == [None, OIDS[0]]
    foreign = as_who("mk", "case", "campaign", "note", number, "--for", OIDS[1], "--text", "x")
    assert "not in the campaign" in foreign.err
    kept = as_who("mk", "case", "campaign", "note", number, "--for", OIDS[0], "--text", "x", "--case")
    assert "No case of this customer" in kept.err
    assert as_who("mk", "case", "campaign", "list").json[0]["organizations"] == 2
    closed = as_who("mk", "case", "campaign", "close", number, "--conclusion", "vendor update")
    assert (closed.json["closed_by"], closed.json["conclusion"]) == ("mk", "vendor update")
    assert as_who("mk", "case", "campaign", "list").json == []
    assert len(as_who("mk", "case", "campaign", "list", "--all").json) == 1
    assert "is closed" in as_who("mk", "case", "campaign", "close", number).err
    assert as_who("mk", "case", "campaign", "show", "99").code == 2
    for words in (("note", "99", "--text", "x"), ("close", "99", "--conclusion", "x")):
        answer = as_who("mk", "case", "campaign", *words)
        assert (answer.code, answer.err) == (2, "limegrove: There is no campaign 99.\n")
    assert as_who("mk", "case", "campaign", "create", "x").code == 2
    assert as_who("mk", "case", "campaign", "create", "x", "--alert", "nothing").code == 2


def test_a_queue_has_a_name_and_says_what_is_new_since_somebody_looked(as_who: Limegrove) -> None:
    saved = as_who("mk", "alert", "queue", "save", "critical", "sev:critical")
    assert saved.code == 0, saved.err
    assert as_who("mk", "alert", "queue", "save", "all").code == 0
    listed = {row["name"]: row for row in as_who("mk", "alert", "queue", "list").json}
    assert {name: (row["unread"], row["line"]) for name, row in listed.items()} == {
        "critical": (1, "sev:critical"), "all": (4, ""),
    }  # fmt: skip
    looked = as_who("mk", "alert", "list", "--queue", "critical")
    assert [row["detect_id"] for row in looked.json] == ["detection-0"]
    again = {row["name"]: row["unread"] for row in as_who("mk", "alert", "queue", "list").json}
    assert again == {"critical": 0, "all": 4}
    other = {row["name"]: row["unread"] for row in as_who("kim", "alert", "queue", "list").json}
    assert other == {"critical": 1, "all": 4}, "everybody has looked at something else"
    assert as_who("mk", "alert", "queue", "delete", "critical").code == 0
    assert as_who("mk", "alert", "queue", "delete", "critical").code == 2
    assert as_who("mk", "alert", "list", "--queue", "critical").code == 2
    bad = as_who("mk", "alert", "queue", "save", "x", "sev:huge")
    assert (bad.code, "huge is not a severity" in bad.err) == (2, True)
    assert as_who("mk", "alert", "queue", "save", "two words", "x").code == 2
    assert as_who("mk", "alert", "queue", "save", "y", "x", "--read-only").code == 5
