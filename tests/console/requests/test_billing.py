"""The whole way by keys alone: a statement is shown, invoices are read and change its cost, a file is written."""

import stat
from contextlib import asynccontextmanager

from console.app import Console
from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.billing import import_prices
from console.operations.ports import Link
from console.operations.sync import Sync
from console.settings import Settings
from screens.dialogs.confirm import Confirm
from screens.dialogs.write_line import WriteLine
from screens.frame import KeyLine
from store.database import Store
from store.examplebook import TEXT
from store.queries.billing import invoices_of, last_month
from store.secret import Secret
from store.times import now_ms
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import still, text_of, until


@asynccontextmanager
async def console(store, home):
    """A console on a sandbox of three customers, with the example's prices."""
    async with sandbox(seed=7, orgs=3, detections=5) as served:
        user = served.world.access.users[served.world.access.root]
        key, link = UserKey(user.uid, Secret(user.api_key)), Link()
        async with Cloud(key, Endpoint.single(served.url)) as cloud:
            await Sync(store=store, cloud=cloud, redaction_key=b"k" * 32, only=("orgs", "usage")).run()
            import_prices(store, TEXT.encode(), file="example", by="dana")
            with link.holding(cloud):
                yield Console(
                    open_store=lambda: Store(store.url), environment="test", link=link, view="billing",
                    settings=Settings(home, "test", store.url), operator="dana",
                )  # fmt: skip


async def said(pilot, app, words):
    await until(pilot, lambda: words in str(app.screen.query_one("#keys", KeyLine).render()))


async def test_invoices_are_read_after_asking_and_the_margin_rests_on_them(a_store, tmp_path):
    store, month = a_store(), last_month(now_ms())
    async with console(store, tmp_path) as app, app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "look", "") == "full")
        await still(pilot)
        await until(pilot, lambda: "by the contract: no invoice was read" in " ".join(text_of(app).split()))
        await pilot.press("I")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "for 3 organizations?" in " ".join(text_of(app).split())
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        with store.reader.reading() as c:
            assert invoices_of(c, month) == {}
        await pilot.press("I")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await said(pilot, app, "of 3 invoices read")
        await until(pilot, lambda: "of the vendor, by its invoice" in " ".join(text_of(app).split()))
        with store.reader.reading() as c:
            assert len(invoices_of(c, month)) == 3


async def test_a_statement_is_written_where_it_is_asked_for_and_an_unknown_ending_is_refused(
    a_store, tmp_path
):
    store, out = a_store(), tmp_path / "statement.html"
    async with console(store, tmp_path) as app, app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "look", "") == "full")
        await still(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, WriteLine))
        await still(pilot)
        assert "Not an invoice" in text_of(app)
        field = app.screen.query_one("Input")
        field.value = str(out.with_suffix(".xls"))
        await pilot.press("enter")
        await until(pilot, lambda: "a statement's file ends in" in " ".join(text_of(app).split()))
        field.value = str(out)
        await pilot.press("enter")
        await said(pilot, app, "Written:")
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        assert "Statement, not an invoice" in out.read_text()
