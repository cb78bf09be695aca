"""Reports of customers whose every text is hostile: files that hold text, and nothing else."""

import re
from io import BytesIO
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt
from pypdf import PdfReader
from sqlalchemy import update

from console.operations.reports import customer, provider
from console.reports.brand import Brand
from console.reports.document import Document, safe
from console.reports.markdown import markdown
from store import ingest, models
from store.database import Store
from store.reports import periods
from store.text import safe_text
from tests.helpers import reports
from tests.helpers.chromium import browser, needs_chromium
from tests.helpers.hostile import ORGANIZATIONS, fill_with_hostility, names
from tests.helpers.screens import NOW, oid_of

MONTH = periods.month("2026-11")
BAR = re.compile(r"(?<!\\)\|")
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The reports of some customers and of all, in every format, of a store that strangers filled."""
    home = tmp_path_factory.mktemp("hostile")
    store = Store(f"sqlite:///{home / 'store.db'}")
    fill_with_hostility(store, NOW)
    texts = names()
    with store.writing() as c:
        c.execute(
            update(models.Detection.__table__)
            .where(models.Detection.__table__.c.time < MONTH.since)
            .values(time=MONTH.since)
        )
        for n in range(ORGANIZATIONS):
            ingest.put_sensors(c, oid_of(n), [{"sid": f"s{n}", "hostname": texts[n], "plat": 0x10000000}])
            ingest.put_usage(c, oid_of(n), {"2026-11-02": {texts[n + 1]: 7, texts[n + 2]: 8}})
            rows = [
                {
                    "oid": oid_of(n), "case_number": number, "case_id": f"c{n}-{number}", "severity": "high",
                    "summary": f"{texts[n + number]} | a", "status": "new", "classification": "pending",
                    "created_at": "2026-11-03T10:00:00Z", "tags": [texts[n]], "assignees": [texts[n]],
                }
                for number in range(1, 9)
            ]  # fmt: skip
            ingest.put_cases(c, rows=rows, oids=[oid_of(n)], complete=True, now=NOW)
            ingest.put_sync_state(c, oid_of(n), "cases", checked_at=NOW, attempted_at=NOW)
            for subject in ("sensors", "usage"):
                ingest.put_sync_state(
                    c, oid_of(n), subject, checked_at=NOW, failure="auth", reason=texts[n + 3]
                )
    found = []
    for n in range(0, ORGANIZATIONS, 4):
        brand = Brand(
            provider=texts[n][:80],
            customer=texts[n + 7],
            contact=texts[n + 2],
            language=("en", "de", "fr", "es")[n // 4 % 4],
        )
        found.append(
            customer(
                store.reader,
                oid_of(n),
                MONTH,
                ("html", "pdf", "md"),
                home / "out",
                brands=home,
                brand=brand,
                now=NOW,
            )
        )
    for kind in ("executive", "sla"):
        found.append(
            provider(
                store.reader,
                kind,
                MONTH,
                ("html", "pdf", "md"),
                home / "out",
                name=texts[4],
                brands=home,
                now=NOW,
            )
        )
    store.close()
    return found


def _files(written, ending):
    return [path for each in written for path in each.files if path.suffix == f".{ending}"]


def test_html_has_no_element_no_attribute_and_no_address_that_is_not_ours(written):
    for path in _files(written, "html"):
        text = path.read_text()
        said = reports.read(text)
        assert said.elements <= reports.ELEMENTS, said.elements - reports.ELEMENTS
        assert said.attributes <= reports.ATTRIBUTES, said.attributes - reports.ATTRIBUTES
        assert said.sources == []
        assert not FORBIDDEN.search(text)
        assert "default-src 'none'; style-src 'sha256-" in text
        assert "unsafe" not in text.partition("</head>")[0]
        assert path.stat().st_mode & 0o777 == 0o600


def test_html_shows_the_names_as_they_are_and_their_notation(written):
    shown = "\n".join(row[0] for path in _files(written, "html") for rows in reports.read(path.read_text()).tables.values() for row in rows if row)  # fmt: skip
    assert re.search(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4})", shown)
    said = reports.read(_files(written, "html")[0].read_text())
    assert said.title == safe_text(names()[7], 96).strip()


def test_markdown_is_text_and_tables_alone(written):
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    allowed = {
        "heading", "paragraph", "blockquote", "bullet_list", "list_item", "table", "thead", "tbody", "tr", "th", "td", "hr",
        "inline", "text", "strong", "em", "softbreak", "hardbreak",
    }  # fmt: skip
    for path in _files(written, "md"):
        text = path.read_text()
        tokens = parser.parse(text)
        inner = [child for token in tokens for child in token.children or ()]
        kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens + inner}
        # The line above the provider's own is the only rule, and no name is a heading, a list or a quotation.
        assert kinds <= allowed, kinds - allowed
        assert not FORBIDDEN.search(text)
        for before, line in pairwise(text.splitlines()):
            if before.startswith("|") and line.startswith("|"):
                # A name with a bar of its own makes no column.
                assert len(BAR.findall(before)) == len(BAR.findall(line)), line


def test_markdown_has_our_own_spaces_and_words_as_they_are_and_a_strangers_as_notation(written):
    assert any("\u00a0" in path.read_text() for path in _files(written, "md"))
    for space in "\u00a0\u202f":
        text = markdown(
            Document("en", "", f"Met: 98{space}% (13:59)", "", (), "", safe(f"Evil{space}Ltd [x]"))
        )
        assert f"# Met: 98{space}% (13:59)" in text
        assert f"Evil\\{safe_text(space)}Ltd \\[x\\]" in text


def test_a_bar_in_a_name_is_escaped(written):
    assert sum("\\| a" in path.read_text() for path in _files(written, "md")) > 3


def test_pdf_is_text_without_links_and_actions(written):
    for path in _files(written, "pdf"):
        found = PdfReader(path)
        raw = path.read_bytes()
        for name in (
            b"/JavaScript",
            b"/JS",
            b"/URI",
            b"/Launch",
            b"/OpenAction /",
            b"/AA",
            b"/EmbeddedFile",
            b"/SubmitForm",
        ):
            assert name not in raw, name
        for page in found.pages:
            assert "/Annots" not in page
            assert not FORBIDDEN.search(page.extract_text().replace("\x0c", ""))


@needs_chromium
async def test_a_browser_asks_for_nothing_runs_nothing_and_prints_two_pages(written, tmp_path):
    async with browser(tmp_path) as opened:
        for each in written[:-2]:
            page = await opened.open(each.files[0])
            assert (page.requests, page.scripts, page.refused) == ([], [], [])
            assert 1 <= len(PdfReader(BytesIO(page.pdf)).pages) <= 2
