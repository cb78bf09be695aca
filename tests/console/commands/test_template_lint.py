"""`limegrove template lint` and `show`."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from console.operations import templates
from store.templates import documents

RULES = "version: 3\nhives:\n  fp:\n    a: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true}}\n"


@pytest.fixture
def repository(tmp_path):
    """A provider's repository: a global part, and a customer who includes it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "global").mkdir()
    (tmp_path / "customers" / "one").mkdir(parents=True)
    (tmp_path / "global" / "rules.yaml").write_text(RULES)
    (tmp_path / "customers" / "one" / "main.yaml").write_text(
        "version: 3\ninclude: [../../global/rules.yaml]\n"
    )
    return tmp_path


def test_a_repository_without_mistakes_ends_with_zero_and_an_empty_list(limegrove, repository):
    answer = limegrove("template", "lint", str(repository), "--output", "json")
    assert (answer.code, answer.json) == (0, [])


def test_a_mistake_in_a_file_that_two_documents_include_is_said_once(limegrove, repository):
    (repository / "global" / "rules.yaml").write_text(RULES + "Rules: {}\n")
    (repository / "customers" / "two.yaml").write_text("version: 3\ninclude: [../global/rules.yaml]\n")
    answer = limegrove("template", "lint", str(repository), "--output", "json")
    assert answer.code == 0
    assert [(row["severity"], row["file"], row["line"]) for row in answer.json] == [
        ("warning", "global/rules.yaml", 5)
    ]
    assert limegrove("template", "lint", str(repository), "--strict", "--output", "json").code == 1


def test_errors_end_with_one(limegrove, repository):
    (repository / "customers" / "bad.yaml").write_text("op: is\n")
    answer = limegrove("template", "lint", str(repository / "customers"), "--output", "json")
    assert answer.code == 1
    assert [row["file"] for row in answer.json] == ["customers/bad.yaml"]
    assert "only the condition of a rule" in answer.json[0]["text"]


def test_files_of_other_programs_are_passed_by(limegrove, repository):
    (repository / ".github" / "workflows").mkdir(parents=True)
    (repository / ".github" / "workflows" / "check.yml").write_text("on: push\njobs: {}\n")
    (repository / "compose.yaml").write_text("version: '3.8'\nservices: {}\n")
    (repository / "mkdocs.yml").write_text("site_name: ours\n")
    answer = limegrove("template", "lint", str(repository), "--output", "json")
    assert (answer.code, answer.json) == (0, [])
    answer = limegrove("template", "lint", str(repository / "mkdocs.yml"), "--output", "json")
    assert answer.code == 1
    assert "This is no infrastructure document" in answer.json[0]["text"]


def test_a_directory_of_other_programs_files_is_said(limegrove, tmp_path):
    (tmp_path / "mkdocs.yml").write_text("site_name: ours\n")
    answer = limegrove("template", "lint", str(tmp_path))
    assert answer.code == 2
    assert "There is no infrastructure document in" in answer.err


def test_a_rule_on_its_own_is_checked_like_one_of_a_document(limegrove, tmp_path):
    rule = "detect: {op: exists, event: X, path: event/A}\nrespond: [{action: report, name: a}]\n"
    (tmp_path / "good.yaml").write_text(rule)
    (tmp_path / "bad.yaml").write_text(rule.replace("exists", "exist"))
    answer = limegrove("template", "lint", str(tmp_path), "--output", "json")
    assert answer.code == 1
    assert [(row["file"], row["severity"]) for row in answer.json if row["severity"] == "error"] == [
        ("bad.yaml", "error")
    ]
    assert limegrove("template", "lint", str(tmp_path / "good.yaml"), "--strict").code == 0


def test_a_record_with_nothing_in_its_metadata_is_read_like_one_without(limegrove, tmp_path):
    record = (
        "data:\n  detect: {op: exists, event: X, path: event/A}\n  respond: [{action: report, name: a}]\n"
    )
    (tmp_path / "empty.yaml").write_text(record + "usr_mtd:\n")
    (tmp_path / "without.yaml").write_text(record)
    answer = limegrove("template", "lint", str(tmp_path), "--output", "json")
    assert (answer.code, answer.err) == (0, "")
    told = {
        name: [row for row in answer.json if row["file"] == name] for name in ("empty.yaml", "without.yaml")
    }
    assert [row["text"].replace("/empty,", "/without,") for row in told["empty.yaml"]] == [
        row["text"] for row in told["without.yaml"]
    ]
    assert told["empty.yaml"]


def test_each_document_is_read_once_and_looked_at_once_as_an_import_does(limegrove, repository):
    (repository / "alone.yaml").write_text(
        "detect: {op: exists, event: X, path: event/A}\nrespond: [{action: report, name: a}]\n"
    )
    with (
        patch.object(documents, "read_template", wraps=documents.read_template) as read,
        patch.object(templates, "read_one", wraps=templates.read_one) as looked,
    ):
        assert limegrove("template", "lint", str(repository)).code == 0
    files = ["alone.yaml", "customers/one/main.yaml", "global/rules.yaml"]
    assert sorted(call.args[1] for call in read.call_args_list) == files
    assert sorted(str(call.args[0].relative_to(repository)) for call in looked.call_args_list) == files


def test_show_names_the_file_of_every_record(limegrove, repository):
    answer = limegrove(
        "template", "show", str(repository / "customers" / "one" / "main.yaml"), "--output", "json"
    )
    assert answer.code == 0
    assert [
        (each["section"], each["name"], each["file"], each["line"]) for each in answer.json["records"]
    ] == [("hive/fp", "a", "global/rules.yaml", 4)]
    assert answer.json["files"] == ["customers/one/main.yaml", "global/rules.yaml"]


def test_a_secret_in_a_file_is_not_printed(limegrove, tmp_path):
    (tmp_path / "main.yaml").write_text(
        "version: 3\nhives: {secret: {s: {data: {secret: hunter2}, usr_mtd: {enabled: true}}}}\n"
    )
    answer = limegrove("template", "show", str(tmp_path / "main.yaml"), "--output", "json")
    assert answer.code == 0
    assert "hunter2" not in answer.out + answer.err


@pytest.mark.parametrize("verb", ["lint", "show"])
def test_a_path_that_is_not_there_is_said(limegrove, tmp_path, verb):
    answer = limegrove("template", verb, str(tmp_path / "nothing.yaml"))
    assert answer.code == 2
    assert "nothing.yaml" in answer.err


def test_the_vendor_s_public_repository_is_read_without_an_error_where_it_is_at_hand(limegrove):
    corpus = os.environ.get("LIMEGROVE_CORPUS")
    if corpus is None:
        return
    answer = limegrove("template", "lint", str(Path(corpus) / "mssp-demo"), "--output", "json")
    assert answer.code == 0
    assert {row["severity"] for row in answer.json} == {"warning"}
