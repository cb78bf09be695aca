"""The whole way by keys alone: reports written where, and in which formats, the operator says."""

from dataclasses import replace

import pytest

from console.app import Console
from console.settings import load
from screens.dialogs.fill_in import FillIn
from screens.frame import KeyLine
from tests.helpers.screens import NOW, fill, oid_of, still, text_of, until


@pytest.fixture
def provider(a_store):
    store = a_store()
    fill(store)
    return store


def console(store, home):
    settings = replace(load(environ={}, file=home / "none.toml"), home=home)
    return Console(
        open_store=lambda: store, view="reports", clock=lambda: NOW, operator="dana", settings=settings
    )


async def asked(pilot, app, *keys):
    await until(pilot, lambda: getattr(app.screen, "look", "") == "full")
    await still(pilot)
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(app.screen, FillIn))
    await still(pilot)


async def said(pilot, app, words):
    await until(pilot, lambda: words in str(app.screen.query_one("#keys", KeyLine).render()))


async def test_the_marked_customers_reports_are_written_after_they_were_named(provider, tmp_path):
    app = console(provider, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(pilot, app, "space", "space", "w")
        assert "Report for 2026-10 to Acme Dental, Borealis Foods" in text_of(app)
        formats = app.screen.query_one("#field-0")
        formats.value = "docx"
        await pilot.press("enter")
        await until(pilot, lambda: "some of html, pdf, md" in text_of(app))
        formats.value = "html, md"
        await pilot.press("enter")
        await said(pilot, app, "4 files, 2 of 2 reports lack something, in")
    names = sorted(path.name for path in (tmp_path / "default" / "reports" / "2026-10").iterdir())
    assert names == [
        f"acme-dental_{oid_of(0)[:8]}_2026-10.html", f"acme-dental_{oid_of(0)[:8]}_2026-10.md",
        f"borealis-foods_{oid_of(1)[:8]}_2026-10.html", f"borealis-foods_{oid_of(1)[:8]}_2026-10.md",
    ]  # fmt: skip


async def test_a_brand_that_cannot_be_used_is_said_and_nothing_is_written(provider, tmp_path):
    (tmp_path / "brands").mkdir()
    (tmp_path / "brands" / "default.yaml").write_text("colour: yellow\n")
    app = console(provider, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(pilot, app, "w")
        await pilot.press("enter")
        await said(pilot, app, "1 not written")
        assert not (tmp_path / "default" / "reports").exists()


async def test_the_executive_report_is_written_and_leaving_the_question_writes_nothing(provider, tmp_path):
    app = console(provider, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await asked(pilot, app, "S")
        assert "Report on service levels for 2026-10, over ALL ORGANIZATIONS" in text_of(app)
        await pilot.press("escape")
        await asked(pilot, app, "E")
        app.screen.query_one("#field-0").value = "html"
        await pilot.press("enter")
        await said(pilot, app, "1 file, 1 of 1 reports lack something, in")
    assert [path.name for path in (tmp_path / "default" / "reports" / "2026-10").iterdir()] == [
        "executive_2026-10.html"
    ]
