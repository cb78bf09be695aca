"""Where organizations are not as their templates want them, on a real store."""

import pytest
from textual import events

from screens.context import Scope
from screens.drift import DriftView
from screens.figures import looked
from screens.frame import KeyLine
from screens.requests import Back, DecideDrift, ShowOrganization
from store import ingest
from store.drift import decide
from store.queries import drift as queries
from store.queries.rollup import Rollup
from tests.helpers.drifting import KEY, ON, WANTED, drifted, observed, rule
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


@pytest.fixture
def drifted_store(filled_store):
    drifted(filled_store)
    return filled_store


def host_of(store, **given):
    host = Host(store, DriftView, **given)
    host.context.redaction_key = lambda: KEY
    return host


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def settled(pilot, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


def seen_of(store, number, name):
    with store.reader.reading() as connection:
        found = queries.report(connection, key=KEY, now=NOW)
    return queries.at(found, oid_of(number), ("hive/fp", name))


async def test_the_heat_table_has_the_worst_record_first_and_a_sign_for_those_alike(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert [each.what for each in host.view._lines] == [
            "hives/fp/second", "hives/fp/first", "(everything)", "hives/fp/local",
        ]  # fmt: skip
        shown = text_of(host)
        assert "4: M1 C1 D1 X1 1 not compared read 2h ago" in " ".join(shown.split())
        await settled(pilot, "hives/fp/second deviates in 2 organizations")
        await settled(pilot, "M missing Borealis Foods")
        await settled(pilot, "D disabled Cedar Clinic")
        assert "MD.." in shown
        assert host.guard.hits == 0


async def test_as_many_records_drift_as_the_overview_counts_and_what_is_denied_is_among_them(drifted_store):
    with drifted_store.writing() as connection:
        one = queries.at(queries.report(connection, key=KEY, now=NOW), oid_of(1), ("hive/fp", "first"))
        decide(connection, one, "deny", reason="no", by="dana", now=NOW)
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "4: M1 C1 D1 X1 1 not compared 1 denied")
    with drifted_store.reader.reading() as connection:
        looks = looked(connection, Rollup(), key=KEY, now=NOW)
    assert (looks.drift["root"], looks.uncompared["root"]) == (4, 1)


async def test_the_signs_of_the_heat_table_are_explained_where_they_stand(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        legend = text_of(host).splitlines()[2]
        for sign, word in (
            ("M", "missing"),
            ("U", "unreadable"),
            ("C", "changed"),
            ("X", "extra"),
            (".", "as wanted"),
        ):
            assert f"{sign} {word}" in legend
        await pilot.press("v")
        await until(pilot, lambda: "as wanted" not in text_of(host))


async def test_the_last_line_offers_of_the_table_what_works_there_and_decisions_in_the_list(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        last = host.screen.query_one("#keys", KeyLine).text
        assert "enter open" in last
        assert not any(word in last for word in ("accept", "exclude", "deny", "tree"))
        await pilot.press("a")
        await settled(pilot, "A decision is about one organization: enter lists those of a record.")
        await pilot.press("enter", "j")
        await until(pilot, lambda: "a accept" in host.screen.query_one("#keys", KeyLine).text)


async def test_enter_lists_the_organizations_of_a_record_and_again_shows_what_differs(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "enter")
        await settled(pilot, "/record:hives/fp/first")
        assert [each.oid for each in host.view._shown] == [oid_of(1)]
        await settled(pilot, "value a -> other")
        await settled(pilot, "by lee@acme.example")
        await pilot.press("enter")
        await settled(pilot, "- as wanted + as it is")
        await settled(pilot, "- value: a + value: other")
        await pilot.press("q")
        await settled(pilot, "Borealis Foods changed hives/fp/first")
        await pilot.press("q")
        await until(pilot, lambda: not host.view._listing)
        assert host.view.filter_line == ""
        await pilot.press("q")
        assert host.asked == [Back()]


@pytest.mark.parametrize(("key", "decision"), [("a", "accept"), ("x", "exclude"), ("d", "deny")])
async def test_a_decision_is_asked_for_by_one_key_about_what_was_seen(drifted_store, key, decision):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "enter")
        await until(pilot, lambda: host.view._current is not None)
        await pilot.press(key)
        seen = seen_of(drifted_store, 1, "first").seen
        assert host.asked == [DecideDrift(oid_of(1), "hive/fp", "first", decision, seen)]


async def test_nothing_is_decided_about_a_whole_line_nor_in_a_read_only_console(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("a")
        await settled(pilot, "A decision is about one organization")
        await pilot.press("v")
        await settled(pilot, "Borealis Foods missing")
        host.context.writable = False
        await pilot.press("d")
        await settled(pilot, "This console is read-only.")
        assert host.asked == []


async def test_keys_that_come_in_one_piece_go_to_the_list_that_the_first_of_them_opened(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for key in ("v", "j", "j"):
            host.post_message(events.Key(key, key))
        await until(pilot, lambda: host.view._current is not None and host.view._current.drift == "changed")


async def test_what_was_never_read_is_not_decided_about(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("v", "j")
        await settled(pilot, "unreadable (everything)")
        await pilot.press("x")
        await settled(pilot, "What was never read cannot be decided about")
        assert host.asked == []


async def test_what_is_decided_leaves_the_list_and_is_found_again_by_the_filter(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        with drifted_store.writing() as connection:
            one = queries.at(queries.report(connection, key=KEY, now=NOW), oid_of(3), ("hive/fp", "local"))
            decide(connection, one, "accept", reason="theirs", by="dana", now=NOW)
        await settled(pilot, "1 accepted")
        assert "hives/fp/local" not in [each.what for each in host.view._lines]
        await pilot.press("v")
        host.view.filter_by("is:accepted")
        await settled(pilot, "accepted by dana: theirs")
        assert [each.what for each in host.view._shown] == ["hives/fp/local"]
        await pilot.press("u")
        assert [each.decision for each in host.asked] == ["undo"]


async def test_a_filter_narrows_and_what_means_nothing_is_said(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("v")
        for words, left in (
            ("class:missing", [1]), ("class:extra class:disabled", [2, 3]), ("borealis", [1, 1]), ("is:all", 5),
            ("hives/fp/local", [3]), ("is:denied", []),
        ):  # fmt: skip
            host.view.filter_by(words)
            await still(pilot)
            numbers = [int(each.oid[:8], 16) for each in host.view._shown]
            assert (len(numbers) if isinstance(left, int) else numbers) == left, words
        host.view.filter_by("")
        await pilot.press("slash", *"class:odd", "enter")
        await settled(pilot, "odd is no class")
        await pilot.press("escape", "right_square_bracket")
        await settled(pilot, "/class:missing")


async def test_it_leads_to_the_tree_and_follows_the_scope_and_the_store(drifted_store):
    host = host_of(drifted_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("v", "t")
        assert host.asked == [ShowOrganization(oid_of(1))]
        host.go(Scope("customer-3", "Delta Ltd", oid_of(3)))
        await until(pilot, lambda: [each.what for each in host.view._shown] == ["hives/fp/local"])
        observed(drifted_store, 3, WANTED, at=NOW)
        await settled(pilot, "Everything is as the templates want it, as far as was read.")


async def test_what_could_not_be_read_again_and_a_key_that_is_not_at_hand_are_told(drifted_store):
    with drifted_store.writing() as connection:
        ingest.put_sync_state(
            connection,
            oid_of(2),
            "configuration",
            attempted_at=NOW,
            failure="auth",
            reason="The key was refused.",
        )
    host = Host(drifted_store, DriftView)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await settled(pilot, "~ 2 gaps: Cedar Clinic: The key was refused.")


async def test_without_a_template_it_says_how_to_have_one(filled_store):
    host = host_of(filled_store)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "No template is assigned to any organization here")


async def test_hostile_names_are_shown_and_not_obeyed(drifted_store):
    observed(drifted_store, 3, {**WANTED, HOSTILE: (rule(HOSTILE), ON)}, author=HOSTILE)
    observed(drifted_store, 1, {"first": (rule(HOSTILE), {**ON, "comment": HOSTILE})}, at=NOW, author=HOSTILE)
    host = host_of(drifted_store)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        for key in ("j", "j", "j", "G", "v", "j", "j", "enter", "J", "q", "G", "enter", "q", "g"):
            await pilot.press(key)
            await still(pilot)
        assert host.guard.hits == 0


def test_picture_table(drifted_store, snap_compare):
    assert snap_compare(host_of(drifted_store), terminal_size=(80, 24), run_before=ready)


def test_picture_list(drifted_store, snap_compare):
    async def before(pilot):
        await ready(pilot)
        await pilot.press("v", "j", "j")
        await settled(pilot, "value a -> other")
        await still(pilot)

    assert snap_compare(host_of(drifted_store), terminal_size=(80, 24), run_before=before)


def test_picture_wide(drifted_store, snap_compare):
    assert snap_compare(host_of(drifted_store), terminal_size=(140, 40), run_before=ready)


def test_picture_diff(drifted_store, snap_compare):
    async def before(pilot):
        await ready(pilot)
        await pilot.press("v", "j", "j", "enter")
        await settled(pilot, "+ value: other")
        await still(pilot)

    assert snap_compare(host_of(drifted_store), terminal_size=(80, 24), run_before=before)


def test_picture_empty(filled_store, snap_compare):
    assert snap_compare(host_of(filled_store), terminal_size=(80, 24), run_before=ready)


def test_picture_failed(filled_store, snap_compare):
    host = host_of(filled_store, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)
