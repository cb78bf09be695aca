"""What only reads makes nothing: neither in a workspace that is not there, nor for an environment that is a slip."""

import pytest

from tests.helpers.verbs import leaves, line

READING = {
    ("alert", "list"), ("alert", "folds"), ("alert", "scorecard"), ("alert", "next"), ("alert", "show"),
    ("alert", "queue", "list"), ("case", "list"), ("case", "show"), ("case", "edits"),
    ("case", "handover", "list"), ("case", "campaign", "list"), ("org", "list"), ("org", "show"),
    ("org", "runs"), ("org", "overview"), ("tree", "show"), ("tree", "export"), ("drift", "show"),
    ("drift", "attribute"), ("rollout", "list"), ("rollout", "status"), ("template", "list"),
    ("template", "render"), ("access", "who"), ("access", "explain"), ("access", "findings"),
    ("access", "export"), ("access", "review", "list"), ("access", "review", "show"),
    ("access", "review", "progress"), ("access", "break-glass", "list"), ("key", "list"),
    ("billing", "usage"), ("billing", "prices", "list"), ("journal", "show"), ("report", "coverage"),
    ("sensor", "show"),
}  # fmt: skip
"""Commands that look into the store of the environment, and change nothing."""

THERE = dict(leaves())
EACH = sorted(READING & THERE.keys())


@pytest.fixture(autouse=True)
def _no_credential_of_another_test(monkeypatch):
    monkeypatch.setattr("console.process._credential", None)
    monkeypatch.setattr("console.process._credential_error", None)
    monkeypatch.setattr("console.credentials._read", {})


def words(path):
    return line(path, THERE[path], None, "")


def test_there_are_such_commands():
    assert len(EACH) > 30


@pytest.mark.parametrize("path", EACH, ids=" ".join)
def test_an_environment_that_is_a_slip_is_told_and_nothing_is_made(path, home, limegrove):
    answer = limegrove("--env", "nope", *words(path))

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "limegrove: There is no environment nope: it has neither credentials nor a store. `limegrove auth list` "
        "names those there are, `limegrove auth login --env nope` makes it.\n"
    )
    assert not home.exists()


@pytest.mark.parametrize("path", EACH, ids=" ".join)
def test_what_was_never_synced_is_told_and_nothing_is_made(path, home, limegrove):
    answer = limegrove("--offline", *words(path))

    assert "was never synced, so nothing is known; run `limegrove sync`." in answer.err
    assert "unforeseen" not in answer.err
    assert not home.exists()


def test_nothing_makes_a_workspace_for_an_environment_that_is_a_slip(home, limegrove):
    made = []
    for path, parser in leaves():
        if path[:1] in (("demo",), ("sandbox",)) or path[:2] in (
            ("auth", "login"), ("auth", "logout"), ("store", "upgrade"), ("store", "restore"),
            ("bundle", "export"),
        ):  # fmt: skip
            continue
        limegrove("--env", "nope", "--offline", *line(path, parser, None, ""))
        if home.exists():
            made.append(" ".join(path))
            break
    assert made == []


def test_credentials_of_the_environment_variables_make_an_environment(home, limegrove, monkeypatch):
    monkeypatch.setenv("LC_API_KEY", "11111111-2222-4333-8444-555555555555")
    monkeypatch.setenv("LC_OID", "00000001-0000-4000-8000-000000000000")

    answer = limegrove("--env", "machine", "alert", "list")

    assert (answer.code, answer.json) == (0, [])
    assert "The environment machine was never synced" in answer.err
    assert not home.exists()


def test_what_writes_makes_the_store_and_says_nothing_of_it(home, limegrove):
    answer = limegrove("tree", "add", "Europe")

    assert (answer.code, "never synced" in answer.err) == (0, False)
    assert (home / "default" / "store.db").exists()


def test_an_environment_with_a_store_needs_no_credentials(filled, limegrove):
    (filled / "default").rename(filled / "kept")

    assert len(limegrove("--env", "kept", "org", "list").json) == 3


def test_a_store_that_was_named_itself_is_made_by_what_writes(home, limegrove, monkeypatch, tmp_path):
    monkeypatch.setenv("LIMEGROVE_STORE", f"sqlite:///{tmp_path / 'own' / 'store.db'}")

    assert "never synced" in limegrove("--env", "nope", "org", "list").err
    assert not (tmp_path / "own").exists()
    assert limegrove("--env", "nope", "tree", "add", "Europe").code == 0
    assert (tmp_path / "own" / "store.db").exists()
