"""How far a permission reaches within an organization."""

import pytest

from store.permissions import catalogue
from store.resources import Facet, Level, facet, level_words, levels


@pytest.mark.parametrize(
    ("permission", "expected"),
    [
        ("secret.get", Facet("hive", "secret", "get")),
        ("secret.get.mtd", Facet("hive", "secret", "get", "metadata")),
        ("secret.get.my-key", Facet("hive", "secret", "get", "record", record="my-key")),
        ("secret.set.mtd.my.key", Facet("hive", "secret", "set", "metadata", record="my.key")),
        ("ext.conf.get", Facet("hive", "ext.conf", "get")),
        ("ext.conf.set.mtd", Facet("hive", "ext.conf", "set", "metadata")),
        ("dr.set", Facet("rules", "dr", "set", namespace="general")),
        ("dr.list.managed", Facet("rules", "dr", "list", namespace="managed")),
        ("ext.sub", None),
        ("ext.sub.mtd", None),
        ("sensor.task", None),
        ("insight.evt.get.simple", None),
        ("ai_agent.operate", None),
        ("brand.new.get", None),
        ("", None),
    ],
)
def test_a_permission_says_of_what_below_the_organization_it_is(
    permission: str, expected: Facet | None
) -> None:
    assert facet(permission) == expected


def test_every_family_of_the_catalogue_has_its_verbs_its_metadata_and_its_records() -> None:
    families = {each.name for each in catalogue() if each.per_record}
    assert len(families) > 50
    for name in families:
        whole, record = facet(name), facet(f"{name}.x")
        assert whole is not None
        assert whole.of == "hive"
        assert record is not None
        assert record.record == "x"


def test_what_is_held_whole_is_not_said_again_of_metadata_and_single_records() -> None:
    assert levels(["secret.get", "secret.get.mtd", "secret.get.a", "secret.set.mtd", "secret.set.b"]) == (
        Level("hive", "secret", "", ("get",), ("set",), (("b", ("set",)),)),
    )
    assert levels(["secret.get.mtd.a", "secret.get.a", "secret.del.a"]) == (
        Level("hive", "secret", records=(("a", ("get", "del", "get.mtd")),)),
    )


def test_rules_are_told_by_namespace_the_general_one_first() -> None:
    found = levels(["dr.set.service", "dr.list", "dr.set", "dr.list.managed", "sensor.task"])
    assert [(each.namespace, each.verbs) for each in found] == [
        ("general", ("list", "set")), ("managed", ("list",)), ("service", ("set",)),
    ]  # fmt: skip
    assert [level_words(each) for each in found][:2] == ["general rules: list, set", "managed rules: list"]


def test_the_words_count_the_records_that_they_do_not_name() -> None:
    (level,) = levels(["lookup.get.mtd", *(f"lookup.get.r{number}" for number in range(5))])
    assert level_words(level, most=2) == (
        "lookup hive, metadata only: get; single records: r0 (get), r1 (get), and 3 more"
    )
