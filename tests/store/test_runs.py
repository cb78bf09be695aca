"""Runs as rows: kept, shown, held by one process at a time, tried again."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from store import ingest, models, runs
from store.database import Store
from store.holding import LEASE, Lost
from store.processes import said
from store.runs import (
    NothingToDo,
    Planned,
    PlannedItem,
    PlannedStep,
    RunError,
    UnknownRun,
    state_now,
)  # fmt: skip
from store.runverbs import VERBS, destructive, words
from store.tree import TreeNode, replace_tree

NOW = 1_795_176_000_000
HOSTILE = "\x1b]0;x\x07 Evil \u202e{tag}"


def oid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def planned(*numbers: int, verb: str = "quota.set", **options: Any) -> Planned:
    arguments = {"quota": 7} if verb == "quota.set" else {}
    target = "" if verb == "quota.set" else "ext-yara"
    return Planned(
        options.pop("kind", "bulk"),
        "Seven each",
        tuple(
            PlannedItem(oid(number), f"Customer {number}", steps=(PlannedStep(verb, target, arguments),))
            for number in numbers
        ),
        **options,
    )


def keep(store: Store, what: Planned, **options: Any) -> int:
    with store.writing() as c:
        return runs.keep(c, what, by="ada", now=NOW, **options)


def load(store: Store, run_id: int) -> runs.Run:
    with store.reader.reading() as c:
        return runs.load(c, run_id)


def steps(store: Store, run_id: int) -> list[runs.RunStep]:
    with store.reader.reading() as c:
        return runs.steps(c, run_id)


def take(store: Store, run_id: int, holder: str, *, live: bool = True, now: int = NOW) -> Any:
    with store.writing() as c:
        return runs.take(c, runs.load(c, run_id), holder, operator="ada", now=now, is_live=lambda held: live)


def settle(store: Store, run_id: int, item: int, outcome: str, *, intent: int | None = None) -> None:
    (step,) = [each for each in steps(store, run_id) if each.item == item]
    with store.writing() as c:
        runs.look(c, run_id, step, {"quota": 1})
        if intent is not None:
            runs.intend(c, run_id, step, intent)
        runs.settle(c, run_id, step, outcome, now=NOW, error="no" if outcome not in runs.GOOD else "")
        state = "done" if outcome in runs.GOOD else "failed"
        runs.settle_item(c, run_id, item, state, reason="" if state == "done" else "no")


def test_a_run_is_kept_with_its_items_and_steps_in_their_order(store: Store) -> None:
    what = planned(2, 1, source="filter:gold", options={"wish": "quota"})
    run_id = keep(store, what)
    run = load(store, run_id)
    assert (run.state, run.kind, run.source, run.by, run.expires_at) == (
        "draft", "bulk", "filter:gold", "ada", NOW + runs.GOOD_FOR,
    )  # fmt: skip
    assert [(item.item, item.oid, item.state) for item in run.items] == [
        (1, oid(2), "waiting"),
        (2, oid(1), "waiting"),
    ]
    assert (run.verbs, run.counts, run.options) == ({"quota.set": 2}, {"waiting": 2}, {"wish": "quota"})
    assert [(step.item, step.seq, step.before, step.made) for step in steps(store, run_id)] == [
        (1, 1, None, {}),
        (2, 1, None, {}),
    ]
    listed = [(item.item, item.oid, item.name, item.options) for item in run.items]
    assert runs.hash_of(listed, steps(store, run_id)) == run.hash


@pytest.mark.parametrize(
    "what",
    [
        Planned("bulk", "Nothing", ()),
        Planned("bulk", "Nothing for one", (PlannedItem(oid(1), "One"),)),
    ],
)
def test_a_run_of_nothing_is_none(store: Store, what: Planned) -> None:
    with pytest.raises(NothingToDo):
        keep(store, what)


def test_an_organization_is_in_a_run_once_and_a_kind_is_known(store: Store) -> None:
    with pytest.raises(RunError, match="twice"):
        keep(store, planned(1, 1))
    with pytest.raises(RunError, match="kind"):
        keep(store, planned(1, kind="frobnicate"))
    with pytest.raises(UnknownRun):
        load(store, 1)


def test_the_hash_tells_every_change_of_a_run(store: Store) -> None:
    seen = {
        load(store, keep(store, what)).hash
        for what in (
            planned(1),
            planned(2),
            planned(1, verb="extension.subscribe"),
            Planned("bulk", "x", (replace(planned(1).items[0], options={"tier": "gold"}),)),
        )
    }
    assert len(seen) == 4


def test_what_has_to_be_typed_is_a_name_or_how_many_they_are(store: Store) -> None:
    with store.writing() as c:
        rows = [{"oid": oid(number), "name": f"Customer {number}"} for number in (1, 2, 3)]
        ingest.put_organizations(c, rows, complete=True, now=NOW)
        replace_tree(
            c,
            [
                TreeNode("root", None, "All"),
                TreeNode("vip", "root", "VIP", marks=("protected",)),
                *(TreeNode(f"c{n}", "vip" if n < 3 else "root", f"C{n}", oid=oid(n)) for n in (1, 2, 3)),
            ],
        )
    harmless = load(store, keep(store, planned(3)))
    assert (harmless.phrase, harmless.confirmed("")) == ("", True)
    one = load(store, keep(store, planned(1, 3)))
    assert one.phrase == "Customer 1"
    assert [one.confirmed(typed) for typed in ("", "Customer 3", "customer 1", "Customer 1", oid(1))] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert load(store, keep(store, planned(1, 2, 3))).phrase == "2 protected organizations"
    gone = load(store, keep(store, planned(3, verb="extension.unsubscribe")))
    assert (gone.destructive, gone.phrase) == (True, "Customer 3")
    several = load(store, keep(store, planned(2, 3, verb="extension.unsubscribe")))
    assert several.phrase == "2 organizations"
    assert [several.confirmed(typed) for typed in ("2", "Customer 2", "2 organizations")] == [
        False, False, True,
    ]  # fmt: skip


def test_making_several_organizations_is_typed_until_it_is_begun(store: Store) -> None:
    def onboarding(*names: str) -> Planned:
        steps = (PlannedStep("organization.create", "it", {"region": "europe"}),)
        return Planned("onboard", "onboard", tuple(PlannedItem("", name, {}, steps) for name in names))

    assert load(store, keep(store, onboarding("Acme"))).phrase == ""
    run_id = keep(store, onboarding("Acme", "Borealis", "Cedar"))
    several = load(store, run_id)
    assert (several.destructive, several.phrase, several.or_id) == (False, "3 organizations", "")
    assert [several.confirmed(typed) for typed in ("", "3", "Acme", "3 organizations")] == [
        False, False, False, True,
    ]  # fmt: skip
    assert take(store, run_id, "first") is None
    assert load(store, run_id).phrase == ""


def test_a_run_is_held_by_one_process_and_taken_over_when_that_is_gone(store: Store) -> None:
    run_id = keep(store, planned(1))
    assert take(store, run_id, "first") is None
    run = load(store, run_id)
    assert (run.state, run.holder, run.approved_by) == ("running", "first", "ada")
    assert run.expires_at == NOW + runs.UNASKED
    busy = take(store, run_id, "second")
    assert (busy.id, busy.holder) == (run_id, "first")
    assert take(store, run_id, "second", live=False) is None
    with store.writing() as c, pytest.raises(Lost):
        runs.HOLDING.beat(c, run_id, "first", now=NOW)
    with store.writing() as c:
        runs.HOLDING.release(c, run_id, "first")
        assert runs.load(c, run_id).holder == "second"
        runs.HOLDING.finish(c, run_id, "second", runs.DONE, now=NOW)
        assert runs.running(c) == []
    with pytest.raises(Lost):
        take(store, run_id, "third")


def test_two_runs_about_one_organization_are_not_made_at_once(store: Store) -> None:
    first, other, same = keep(store, planned(1, 2)), keep(store, planned(3)), keep(store, planned(2, 4))
    assert take(store, first, "me") is None
    assert take(store, other, "you") is None
    assert take(store, same, "you").id == first
    new = Planned(
        "onboard", "New", (PlannedItem("", "Müller & Co", steps=(PlannedStep("organization.create"),)),)
    )
    again = replace(new, items=(replace(new.items[0], name="MÜLLER & co"),))
    making, twice = keep(store, new), keep(store, again)
    assert take(store, making, "me") is None
    assert take(store, twice, "you").id == making


def test_what_failed_is_open_again_and_what_may_have_been_made_is_looked_at(store: Store) -> None:
    run_id = keep(store, planned(1, 2, 3, 4))
    take(store, run_id, "me")
    for item, outcome in enumerate(("done", "failed", "unknown", "already"), 1):
        settle(store, run_id, item, outcome, intent=item if outcome in ("done", "unknown") else None)
    with store.writing() as c:
        runs.HOLDING.finish(c, run_id, "me", runs.PARTLY, now=NOW)
        assert [step.item for _, step in runs.failures(c, run_id)] == [2, 3]
    assert take(store, run_id, "me") is None
    found = [(step.outcome, step.intent, step.before, step.error) for step in steps(store, run_id)]
    assert found == [
        ("done", 1, {"quota": 1}, ""),
        ("waiting", None, None, ""),
        ("waiting", 3, {"quota": 1}, ""),
        ("already", None, {"quota": 1}, ""),
    ]
    assert [item.state for item in load(store, run_id).items] == ["done", "waiting", "waiting", "done"]


def test_lists_say_how_many_organizations_are_whole_and_leave_out_what_was_put_away(store: Store) -> None:
    first, second = keep(store, planned(1, 2)), keep(store, planned(3, kind="onboard"))
    with store.writing() as c:
        assert runs.drop(c, keep_in(c, planned(4)), now=NOW)
        assert not runs.drop(c, 99, now=NOW)
    take(store, first, "me")
    settle(store, first, 1, "done")
    settle(store, first, 2, "failed")
    with store.reader.reading() as c:
        found = runs.listed(c)
        assert [(row.id, row.items, row.items_done, row.items_bad) for row in found] == [
            (second, 1, 0, 0),
            (first, 2, 1, 1),
        ]
        assert [row.id for row in runs.listed(c, kinds=["onboard"])] == [second]
        assert [row.id for row in runs.listed(c, before=second)] == [first]
        assert runs.progress(c, first) == {1: (1, 1), 2: (0, 1)}
        failed = runs.failures(c, first)
        said = runs.sentence(runs.load(c, first), failed)
    assert said == (
        f"Run {first}: 1 of 2 organizations done, 1 failed, 1 step made. Customer 2, set the sensor quota "
        "to 7: no"
    )


def keep_in(c: Any, what: Planned) -> int:
    return runs.keep(c, what, by="ada", now=NOW)


def test_a_run_knows_which_one_takes_it_back(store: Store) -> None:
    first = keep(store, planned(1))
    back = keep(store, planned(1, undo_of=first))
    assert load(store, first).undone_by is None  # it was not begun
    take(store, back, "me")
    assert load(store, first).undone_by == back


def test_an_edited_run_does_not_have_its_hash_any_more(store: Store) -> None:
    run_id = keep(store, planned(1))
    table = models.RunStep.__table__  # type: ignore[attr-defined]
    with store.writing() as c:
        c.execute(update(table).values(arguments={"quota": 9_999}))
    run = load(store, run_id)
    listed = [(item.item, item.oid, item.name, item.options) for item in run.items]
    assert runs.hash_of(listed, steps(store, run_id)) != run.hash


def test_strangers_text_is_kept_and_never_taken_for_a_place_to_fill_in(store: Store) -> None:
    step = PlannedStep("sensor.tag", oid(9), {"tag": HOSTILE, "hostname": "{target}\0\ud800"})
    run_id = keep(store, Planned("bulk", HOSTILE, (PlannedItem(oid(1), HOSTILE, steps=(step,)),)))
    (found,) = steps(store, run_id)
    assert found.arguments["tag"] == HOSTILE
    assert words("sensor.tag", "t", {"tag": "{hostname}", "hostname": "{tag}"}) == (
        "tag the sensor {tag} with {hostname}"
    )


def test_every_verb_says_what_it_does_and_an_unknown_one_is_taken_for_dangerous() -> None:
    for name, known in VERBS.items():
        assert known.label
        assert "{" not in words(name, "x", {})
    assert words("later.verb", "thing", {}) == "later.verb thing"
    assert destructive("later.verb")


def test_a_run_is_cut_off_as_soon_as_its_process_is_killed(store: Store) -> None:
    run_id = keep(store, planned(1))
    says = "from store.processes import holder; print(holder(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", says], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        holder = process.stdout.readline().strip()
        assert take(store, run_id, holder) is None
        assert state_now(load(store, run_id), NOW + 2 * LEASE) == "running"
        assert said(holder) == f"process {process.pid}"
        process.kill()
    with store.reader.reading() as c:
        (row,) = runs.listed(c)
    assert state_now(row, NOW) == state_now(load(store, run_id), NOW) == "cut off"
    assert row.state == "running"


def test_a_process_of_another_machine_is_there_as_long_as_it_says_so(store: Store) -> None:
    run_id = keep(store, planned(1))
    elsewhere = "other-host:12:34:ab"
    take(store, run_id, elsewhere)
    assert state_now(load(store, run_id), NOW + LEASE - 1) == "running"
    assert state_now(load(store, run_id), NOW + LEASE) == "cut off"
    assert said(elsewhere) == "process 12 on other-host"
    assert said("") == said("nonsense") == "another process"
