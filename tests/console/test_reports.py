"""A month of fifty customers: what their reports say, against what the official client answers; and as paper."""

import json
import os
import re
import subprocess
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from console.operations.reports import customer
from store.alerts import SEVERITIES, severity_of
from store.database import Reader
from store.reports import periods
from store.sensors import platform_name
from tests.helpers import reports
from tests.helpers.chromium import browser, needs_chromium
from tests.helpers.official import OFFICIAL_PYTHON, needs_official
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process
from tests.helpers.soak import examples

CUSTOMERS = 50
TOP = 6
HOUR = 3_600_000


def _month():
    """The month before this one, and the moment at which it was over."""
    over = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (over - timedelta(days=1)).replace(day=1), over


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """A sandbox of fifty customers at the end of a month, read by sync, their reports written; and beside it
    what the official client answers about the same organizations."""
    home = tmp_path_factory.mktemp("month")
    since, until = _month()
    end = (until - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    options = ("--orgs", str(CUSTOMERS), "--detections", "2400", "--seed", "5", "--now", end)
    with sandbox_process(home / "box", *options) as (stage, _):
        env = as_user(home, stage)
        subjects = "orgs,config,detections,usage,cases"
        read = limegrove("sync", "--since", "63d", "--only", subjects, env=env, timeout=300)
        assert read.returncode == 3, read.stderr  # one organization refuses everything
        answers = _official(home, stage, int(since.timestamp()), int(until.timestamp()))
    written = limegrove(
        "report", "customer", "--all", "--month", f"{since:%Y-%m}", "--format", "html,md", "--out",
        str(home / "out"), "--output", "json", env=env, timeout=300,
    )  # fmt: skip
    assert written.returncode == 3, written.stderr
    return since, until, answers, json.loads(written.stdout)["reports"], home


def _official(home, stage, since, until):
    if not OFFICIAL_PYTHON.exists():
        return {}
    directory = home / "official"
    directory.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(directory), "LC_CONFIG_DIR": str(directory), "LC_NO_JWT_CACHE": "1",
        "LC_API_URL": stage["url"], "LC_JWT_URL": stage["url"], "LC_CASES_API_ROOT": stage["url"],
        "LC_NO_MIGRATION_WARNING": "1", "LC_UID": stage["uid"], "LC_API_KEY": stage["api_key"],
    }  # fmt: skip
    done = subprocess.run(
        [str(OFFICIAL_PYTHON), str(ROOT / "tests/helpers/official_report.py"), str(since), str(until)],
        input=json.dumps(stage["oids"]), env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _file(report, ending):
    return Path(next(each for each in report["files"] if each.endswith(f".{ending}")))


def _ms(text):
    return None if not text else int(datetime.fromisoformat(text.replace(" ", "T") + ("" if "Z" in text else "+00:00")).timestamp() * 1000)  # fmt: skip


@needs_official
def test_every_number_is_what_the_official_client_answers(month):
    since, until, answers, written, _ = month
    assert len(written) == CUSTOMERS == len(answers)
    seen = Counter()
    for report in written:
        answer = answers[report["oid"]]
        said = reports.read(_file(report, "html").read_text())
        if "error" in answer:
            assert said.tiles["Alerts"] == "not known"
            assert any("could not be read" in each for each in said.warnings)
            seen["refused"] += 1
            continue
        _alerts_are(said, _file(report, "md").read_text(), answer, since, until)
        _sensors_are(said, answer)
        _usage_is(said, answer, since, until)
        if answer["cases"] is None:
            assert "This organization has no case system." in said.paragraphs
            seen["without cases"] += 1
        else:
            _cases_are(said, answer["cases"], since, until)
            seen["with cases"] += 1
    assert seen["refused"] == 1
    assert min(seen["with cases"], seen["without cases"]) > 5


def _alerts_are(said, markdown, answer, since, until):
    begin, end = since.timestamp() * 1000, until.timestamp() * 1000
    alerts = [each for each in answer["detections"] if begin <= each["time"] < end]
    severities = Counter(severity_of(each["level"], each["priority"]) for each in alerts)
    assert reports.number(said.tiles["Alerts"]) == len(alerts)
    assert reports.number(said.tiles["High and critical"]) == severities[3] + severities[4]
    table = {row[0]: row for row in said.tables["What became of them"]}
    for severity, word in enumerate(SEVERITIES):
        row = table[word.capitalize()]
        assert reports.number(row[1]) == severities[severity]
        assert sum(map(reports.number, row[2:])) == severities[severity]
    assert reports.number(table["Total"][1]) == len(alerts)
    for title, key, words in (
        ("Rules with most alerts", "cat", "rules"),
        ("Hosts with most alerts", "host", "hosts"),
    ):
        counts = Counter(each[key] for each in alerts if each[key] or key == "cat")
        best = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:TOP]
        assert [(row[0], reports.number(row[1])) for row in said.tables[title]] == [
            (reports.shown(name, 56), count) for name, count in best
        ]
        assert any(each.startswith(f"{len(best)} of {len(counts)} {words}") for each in said.feet)
    by_day = Counter(datetime.fromtimestamp(each["time"] / 1000, UTC).day for each in alerts)
    _, _, days = markdown.partition("### Alerts by day and severity")
    lines = re.findall(r"^\| (\d+) \|(.*)\|$", days.partition("###")[0], re.MULTILINE)
    assert {int(day): sum(map(int, cells.split("|"))) for day, cells in lines} == by_day


def _cases_are(said, cases, since, until):
    begin, end = since.timestamp() * 1000, until.timestamp() * 1000
    mine = [each for each in cases if not each["merged_into_case_id"]]
    opened = [each for each in mine if begin <= _ms(each["created_at"]) < end]
    over = [_ms(each["resolved_at"] or each["closed_at"]) for each in mine]
    ended = sum(moment is not None and begin <= moment < end for moment in over)
    still = sum(each["status"] in ("new", "in_progress") for each in mine)
    line = next(each for each in said.paragraphs if "resolved or closed" in each)
    assert line.startswith(f"{len(opened)} opened, {ended} resolved or closed, {still} open.")
    if opened:
        classes = Counter(each["classification"] for each in opened)
        assert (
            f"{classes['true_positive']} true positive, {classes['false_positive']} false positive, "
            f"{classes['pending']} undecided" in line
        )
    order = sorted(
        opened,
        key=lambda each: (
            -SEVERITIES.index(each["severity"]), each["classification"] != "true_positive", -_ms(each["created_at"]),
            each["case_number"],
        ),
    )[:TOP]  # fmt: skip
    rows = said.tables["The gravest cases of the period"] if opened else []
    assert [(row[0], row[1].lower(), row[3]) for row in rows] == [
        (f"#{each['case_number']}", each["severity"], reports.shown(each["summary"], 96)) for each in order
    ]


def _sensors_are(said, answer):
    platforms = Counter(platform_name(each["plat"]) for each in answer["sensors"])
    best = sorted(platforms.items(), key=lambda each: (-each[1], each[0]))
    assert reports.number(said.tiles["Sensors"]) == len(answer["sensors"])
    if len(best) > TOP:
        best = [*best[: TOP - 1], ("others", sum(count for _, count in best[TOP - 1 :]))]
    assert [(row[0], reports.number(row[1])) for row in said.tables["Sensors by platform"]] == best
    enrolled = f"{answer['quota']['usage']:,.0f} of {answer['quota']['quota']:,} of the sensor quota in use."
    assert any(enrolled in each for each in said.feet)


def _usage_is(said, answer, since, until):
    days = {
        day: of for day, of in answer["usage"].items() if f"{since:%Y-%m-%d}" <= day < f"{until:%Y-%m-%d}"
    }
    names = {
        "Sensors, peak": max(of["peak_sensors"] for of in days.values()),
        "Sensor events": sum(of["sensor_events"] for of in days.values()),
        "Bytes sent to outputs": sum(of["output_bytes_tx"] for of in days.values()),
    }
    rows = {row[0]: row[1] for row in said.tables["Usage"]}
    # The last day of the month had not been added up when it was read: no total.
    assert len(days) == (until - since).days - 1
    assert {name: rows[name] for name in names} == {
        name: f"≥\u00a0{value:,}" for name, value in names.items()
    }


def test_each_figure_says_where_it_is_from_how_old_and_how_whole_it_is(month):
    *_, written, _ = month
    for report in written:
        said = reports.read(_file(report, "html").read_text())
        assert len(said.feet) >= 6 or report["gaps"]
        for foot in said.feet:
            for source in [each for each in foot.split("\n") if each.startswith("Source:")]:
                assert re.search(r" · (complete|incomplete|not known)( · |$)", source), source
                assert re.search(r"read \d+ \w+ \d{4} \d\d:\d\d \(|as decided until|not known", source), (
                    source
                )
        for figure in report["figures"].values():
            assert {"source", "read_at", "age_seconds", "completeness", "at_least"} <= figure.keys()


@pytest.mark.soak
@needs_chromium
async def test_on_paper_no_row_is_cut_and_nothing_is_asked_for_or_run(month, tmp_path):
    *_, written, _ = month
    chosen = sorted(written, key=lambda each: -_file(each, "html").stat().st_size)[: examples(len(written))]
    trap = tmp_path / "trap.html"
    tall = [f"line {number};" for number in range(150)]
    trap.write_text(
        "<img src=http://127.0.0.1:9/x><script>1</script><table><caption>x</caption><tbody>"
        f"<tr><td>{'<br>'.join(tall)}</td><td>more</td></tr></tbody></table>"
    )
    async with browser(tmp_path) as opened:
        page = await opened.open(trap)
        assert page.requests
        assert page.scripts
        pages = [reports.squeezed(each.extract_text()) for each in PdfReader(BytesIO(page.pdf)).pages]
        rows = [["".join(tall), "more"]]
        assert len(pages) > 2
        assert _cut(reports.Said(tables={"x": rows}), pages) == rows
        for report in chosen:
            path = _file(report, "html")
            page = await opened.open(path)
            assert (page.requests, page.scripts, page.refused) == ([], [], []), path
            pages = [reports.squeezed(each.extract_text()) for each in PdfReader(BytesIO(page.pdf)).pages]
            assert 1 <= len(pages) <= 2, path
            assert _cut(reports.read(path.read_text()), pages) == [], path


def _cut(said, pages):
    """The rows of which no page has all of it."""
    after = [*pages[1:], ""]
    return [
        row
        for rows in said.tables.values()
        for row in rows
        if not any(_whole(row, *both) for both in zip(pages, after, strict=True))
    ]


def _whole(row, page, after):
    numbers = "".join(map(reports.squeezed, row[1:]))
    texts = [row[0], numbers] if re.fullmatch(r"[-–≥?\d.,%/hmind]+", numbers) else row
    return all(_there(reports.squeezed(text), page, after) for text in texts)


def _there(text, page, after):
    if text in page:
        return True
    # The end of a name of more than two lines is not on paper: nor does the next page begin with it.
    kept = next(size for size in range(len(text), -1, -1) if text[:size] in page)
    return len(text) > 40 and kept >= 12 and text[kept : kept + 8] not in after[:400]


@pytest.mark.soak
def test_the_pdf_says_the_same_on_at_most_two_pages(month):
    since, *_, written, home = month
    with closing(Reader(f"sqlite:///{home / 'limegrove' / 'default' / 'store.db'}")) as reader:
        for report in sorted(written, key=lambda each: not each["gaps"])[: examples(len(written))]:
            said = reports.read(_file(report, "html").read_text())
            (path,) = customer(
                reader, report["oid"], periods.month(f"{since:%Y-%m}"), ("pdf",), home / "pdf", brands=home
            ).files
            found = PdfReader(path)
            assert len(found.pages) == (1 if said.tiles["Alerts"] == "not known" else 2), report["title"]
            text = reports.squeezed(" ".join(each.extract_text() for each in found.pages))
            for value in [*said.tiles, *said.tiles.values(), "Page1of"]:
                assert reports.squeezed(value) in text
            for title in ("What became of them", "Rules with most alerts", "Sensors by platform", "Usage"):
                for row in said.tables.get(title, []):
                    assert reports.squeezed("".join(row[1:])) in text, (report["title"], row)
            assert found.metadata.title.startswith(_written(said.title))


def _written(name):
    from console.reports.fonts import covered

    return "".join(each if ord(each) in covered() else f"\\u{ord(each):04x}" for each in name)
