"""The library of templates, their records, and what an organization is to have, on a real store."""

import pytest
from sqlalchemy import update

from screens.frame import KeyLine
from screens.organizations import Organizations
from screens.requests import (
    AssignTemplate,
    Back,
    DraftRollout,
    ShowOrganization,
    ShowTemplates,
    ShowView,
    UnassignTemplate,
)
from screens.templates import Templates
from store import models
from store.templates import library
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOSTILE = "\\x1b]0;x\\x07[@click=app.quit]Evil[/]\\u202e"
"""As YAML escapes it."""

BASE = b"""version: 3
limegrove:
  parameters:
    tool: {type: string, required: true, description: whose alerts are let be}
hives:
  fp:
    scanner:
      data: {op: is, path: cat, value: '${tool}'}
      usr_mtd: {enabled: true, tags: [provider]}
    noisy:
      data: {op: is, path: cat, value: Rare parent}
      usr_mtd: {enabled: true}
  secret:
    token:
      data: {secret: hunter2}
      usr_mtd: {enabled: true}
"""
GOLD = b"""version: 3
limegrove:
  override: [hives/fp/scanner]
  "off": [hives/fp/noisy]
hives:
  fp:
    scanner:
      data: {op: is, path: cat, value: qualys}
      usr_mtd: {enabled: true}
"""
CLASH = b"""version: 3
limegrove:
  parameters:
    window: {type: string, required: true}
hives:
  fp:
    scanner:
      data: {op: is, path: cat, value: openvas}
    quiet:
      data: {op: is, path: cat, value: '${window}'}
"""


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


def put(store, name: str, content: bytes, *nodes: str) -> None:
    with store.writing() as connection:
        library.put(connection, name, f"{name}.yaml", {f"{name}.yaml": content}, by="dana", now=NOW)
        for node in nodes:
            library.assign(connection, node, name, now=NOW)


@pytest.fixture
def stocked(filled_store):
    node = models.Node.__table__  # type: ignore[attr-defined]
    with filled_store.writing() as connection:
        connection.execute(update(node).where(node.c.id == "root").values(parameters={"tool": "nessus"}))
    put(filled_store, "base", BASE, "root")
    put(filled_store, "gold", GOLD, "gold")
    put(filled_store, "spare", CLASH)
    return filled_store


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def shows(pilot, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


async def looking_at(pilot, number: int) -> None:
    await ready(pilot)
    pilot.app.view.show_organization(oid_of(number))
    await shows(pilot, "Effective configuration")
    await still(pilot)


async def test_the_library_says_where_each_is_and_how_many_are_below(stocked):
    host = Host(stocked, Templates)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await shows(pilot, "3 templates")
        await shows(pilot, "on Provider: 5 organizations")
        await shows(pilot, "parameter tool: string, required")
        await pilot.press("j")
        await shows(pilot, "on Europe/Gold: 2 organizations")
        await pilot.press("j")
        await shows(pilot, "assigned to no node: a assigns it")
        await pilot.press("x")
        await shows(pilot, "spare is assigned to no node.")
        await pilot.press("slash", *"gold", "enter")
        await shows(pilot, "1 of 3 templates")


async def test_the_records_of_a_template_have_file_and_line_and_their_findings(stocked):
    host = Host(stocked, Templates)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "Template base")
        await shows(pilot, "fp/scanner base.yaml:7")
        await pilot.press("slash", *"token", "enter")
        await shows(pilot, "(secret)")
        assert "hunter2" not in text_of(host)
        found = [each for each in host.view.held.findings if each.record == ("hive/secret", "token")]
        assert found, "a secret in clear is a finding"
        await shows(pilot, " ".join(found[0].text.split()[:4]))
        await pilot.press("escape", "escape")
        await shows(pilot, "3 templates")
        await pilot.press("escape")
        assert isinstance(host.asked[-1], Back)


async def test_an_organization_has_each_record_from_somewhere(stocked):
    host = Host(stocked, Templates)
    async with host.run_test(size=(80, 24)) as pilot:
        await looking_at(pilot, 0)
        await shows(pilot, "Europe/Gold/Acme Dental is to have 2 records, 1 switched off")
        last = host.screen.query_one("#keys", KeyLine).text
        assert "e effective" in last
        assert "assign" not in last
        await shows(pilot, "layers: base (root) > gold (Europe/Gold)")
        await shows(pilot, "~ fp/scanner overridden gold (Europe/Gold)")
        await shows(pilot, "- fp/noisy switched off gold (Europe/Gold)")
        await pilot.press("slash", *"scanner", "enter")
        await shows(pilot, "brought by base on the root, base.yaml:7")
        await shows(pilot, "overridden by gold on Europe/Gold, gold.yaml:7")
        await shows(pilot, "value: qualys")
        await pilot.press("t")
        assert host.asked == [ShowOrganization(oid_of(0))]
        host.view.show_organization(oid_of(2))
        await shows(pilot, "value: nessus")
        await shows(pilot, "brought")


async def test_conflicts_and_missing_parameters_are_said_in_words(stocked):
    put(stocked, "clash", CLASH, "silver")
    host = Host(stocked, Templates)
    async with host.run_test(size=(80, 24)) as pilot:
        await looking_at(pilot, 2)
        await shows(pilot, "x BLOCKED for 2 reasons: nothing is planned for it")
        await shows(pilot, "x fp/scanner CONFLICT clash")
        await shows(pilot, "x parameter window MISSING clash")
        await shows(pilot, "the later one has to say `override` or `extend`.")
        await pilot.press("j")
        await shows(pilot, "The tree gives it: `parameters` of the organization's node")


async def test_keys_ask_for_what_is_under_the_cursor(stocked):
    host = Host(stocked, Templates)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("a", "x", "e", "R", "n")
        assert host.asked[:4] == [
            AssignTemplate("base"),
            UnassignTemplate("base", ("root",)),
            ShowTemplates(""),
            ShowView("rollouts"),
        ]
        assert isinstance(host.asked[4], DraftRollout)


async def test_t_on_an_organization_shows_what_it_is_to_have(stocked):
    host = Host(stocked, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("t")
        await shows(pilot, "A folder has no configuration")
        await pilot.press("j", "j", "j", "t")
        assert host.asked == [ShowTemplates(oid_of(0))]


async def test_a_read_only_console_looks_and_asks_for_nothing(stocked):
    host = Host(stocked, Templates)
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for key in ("a", "x", "n"):
            await pilot.press(key)
            await shows(pilot, "This console is read-only.")
        assert host.asked == []


async def test_its_keys_stand_under_the_question_mark(stocked):
    host = Host(stocked, Templates)
    async with host.run_test(size=(120, 80)) as pilot:
        await ready(pilot)
        await pilot.press("question_mark")
        for words in ("Put the template on a node of the tree", "Take the template off", ":templates"):
            await shows(pilot, words)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_it_obeys_nothing_of_what_a_template_holds(stocked, size):
    hostile = f"""version: 3
limegrove:
  parameters:
    "{HOSTILE}": {{type: string, required: true, description: "{HOSTILE}"}}
hives:
  fp:
    "{HOSTILE}":
      data: {{op: "{HOSTILE}", path: cat, value: "{HOSTILE}"}}
      usr_mtd: {{enabled: true, tags: ["{HOSTILE}"]}}
"""
    put(stocked, "Evil [@click=app.quit]", hostile.encode(), "root")
    host = Host(stocked, Templates)
    async with host.run_test(size=size) as pilot:
        await ready(pilot)
        for key in ("g", "enter", "j", "j", "enter", "J", "escape", "escape"):
            await pilot.press(key)
            await still(pilot)
        await looking_at(pilot, 2)
        for key in ("j", "j", "G", "enter"):
            await pilot.press(key)
            await still(pilot)
        assert host.guard.hits == 0, host.guard.samples
        assert "Evil" in text_of(host)


def test_picture_library(stocked, snap_compare):
    assert snap_compare(Host(stocked, Templates), terminal_size=(80, 24), run_before=ready)


def test_picture_records(stocked, snap_compare):
    async def before(pilot):
        await ready(pilot)
        await pilot.press("enter")
        await shows(pilot, "Template base")
        await pilot.press("G")
        await shows(pilot, "secret")
        await still(pilot)

    assert snap_compare(Host(stocked, Templates), terminal_size=(80, 24), run_before=before)


def test_picture_effective(stocked, snap_compare):
    put(stocked, "clash", CLASH, "silver")

    async def before(pilot):
        await looking_at(pilot, 2)

    assert snap_compare(Host(stocked, Templates), terminal_size=(80, 24), run_before=before)


def test_picture_effective_wide(stocked, snap_compare):
    async def before(pilot):
        await looking_at(pilot, 0)
        await pilot.press("j")
        await shows(pilot, "overridden by gold")
        await still(pilot)

    assert snap_compare(Host(stocked, Templates), terminal_size=(120, 40), run_before=before)


def test_picture_empty(filled_store, snap_compare):
    assert snap_compare(Host(filled_store, Templates), terminal_size=(80, 24), run_before=ready)


def test_picture_failed(filled_store, snap_compare):
    host = Host(filled_store, Templates, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=ready)
