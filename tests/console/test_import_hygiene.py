"""What starting must not pay for."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "textual",
    "rich",
    "sqlalchemy",
    "sqlmodel",
    "alembic",
    "aiohttp",
    "keyring",
    "msgspec",
    "orjson",
    "asyncio",
    "yaml",
}


def imported_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running `code`."""
    return {name.partition(".")[0] for name in modules_of(code)}


def modules_of(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running `code`."""
    report = "\nimport json, sys; print(json.dumps(list(sys.modules)), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['limegrove', {option!r}]\n"
        "try: runpy.run_module('console', run_name='__main__')\n"
        "except SystemExit as left: assert not left.code"
    )

    assert imported_by(code) & HEAVY == set()


def test_a_mistake_in_the_command_line_imports_nothing_heavy():
    code = "from console.__main__ import main\nassert main(['frobnicate']) == 2"

    assert imported_by(code) & HEAVY == set()


@pytest.mark.parametrize("noun", ["org", "alert", "access", "tree", "store"])
def test_the_help_of_a_noun_imports_nothing_heavy(noun):
    code = (
        "from console.__main__ import main\n"
        f"try: main([{noun!r}, '--help'])\n"
        "except SystemExit as left: assert not left.code"
    )

    assert imported_by(code) & HEAVY == set()


def test_the_app_is_imported_without_the_store_the_network_or_the_keyring():
    assert imported_by("import console.app") & {"sqlalchemy", "sqlmodel", "aiohttp", "keyring"} == set()


def test_the_rows_of_alerts_wait_for_nothing_that_only_other_screens_show():
    later = {
        "store.queries.rollup", "store.queries.standing", "store.queries.organizations",
        # What the detail shows besides.
        "store.queries.alert_context", "store.queries.cases", "store.triage", "store.customers", "store.sla",
    }  # fmt: skip

    assert modules_of("import screens.alerts") & later == set()
