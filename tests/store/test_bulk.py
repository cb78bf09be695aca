"""What can be asked of many organizations at once, and on which of them."""

import pytest

from store import bulk, ingest
from store.bulk import KINDS, BadWish, Selection, wish
from store.database import Store
from store.runverbs import VERBS
from store.tree import TreeNode, replace_tree

NOW = 1_795_176_000_000


def oid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def provider(store: Store) -> Store:
    """Five customers: two gold ones in Europe, one frozen, one protected, one without a node, one gone."""
    with store.writing() as c:
        names = ["Acme Dental", "Borealis Foods", "Cedar Clinic", "Delta Ltd", "Acme Dental"]
        rows = [{"oid": oid(number), "name": name} for number, name in enumerate(names)]
        ingest.put_organizations(c, [*rows, {"oid": oid(9), "name": "Gone"}], complete=True, now=NOW)
        ingest.put_organizations(c, rows, complete=True, now=NOW + 1)
        replace_tree(
            c,
            [
                TreeNode("root", None, "Provider"),
                TreeNode("eu", "root", "Europe"),
                TreeNode("gold", "eu", "Gold", labels={"tier": "gold"}),
                TreeNode("acme", "gold", "Acme", oid=oid(0), marks=("canary",)),
                TreeNode("borealis", "gold", "Borealis", oid=oid(1), marks=("protected",)),
                TreeNode("us", "root", "America", marks=("frozen",)),
                TreeNode("cedar", "us", "Cedar", oid=oid(2)),
                TreeNode("delta", "root", "Delta", oid=oid(3)),
            ],
        )
    return store


def select(store: Store, **options: object) -> Selection:
    with store.reader.reading() as c:
        return bulk.select(c, now=NOW, **options)  # type: ignore[arg-type]


def chosen(store: Store, **options: object) -> list[int]:
    return sorted(int(each.oid[-1]) for each in select(store, **options).chosen)


def test_all_that_is_given_has_to_hold(provider: Store) -> None:
    assert chosen(provider) == [0, 1, 3, 4]
    assert chosen(provider, scope="eu") == [0, 1]
    assert chosen(provider, scope="delta") == [3]
    assert chosen(provider, scope="nowhere") == []
    assert chosen(provider, filter_line="tier=gold") == [0, 1]
    assert chosen(provider, filter_line="EUROPE borealis") == [1]
    assert chosen(provider, filter_line="acme", scope="eu") == [0]
    assert chosen(provider, mark="canary") == [0]
    assert chosen(provider, oids=[oid(3), oid(9)]) == [3]
    assert chosen(provider, oids=[]) == []
    with pytest.raises(BadWish, match="no mark"):
        select(provider, mark="golden")


def test_frozen_organizations_are_told_and_left_alone_and_protected_ones_told(provider: Store) -> None:
    found = select(provider, source="all")
    assert [each.name for each in found.frozen] == ["Cedar Clinic"]
    assert [each.oid for each in found.protected] == [oid(1)]
    assert found.source == "all"


def test_a_file_names_each_organization_once_by_oid_or_by_a_name_of_its_own(provider: Store) -> None:
    with provider.reader.reading() as c:
        known = bulk.known_names(c)
    text = f"# customers\n\n{oid(0)}\n  delta LTD \n"
    assert bulk.named(text, known) == ([oid(0), oid(3)], [])
    wrong = f"Nobody\x1b[31m\nAcme Dental\n{oid(3)}\nDelta Ltd\nGone\n"
    found, problems = bulk.named(wrong, known)
    assert found == [oid(3)]
    assert problems == [
        "line 1: there is no organization 'Nobody\\\\x1b[31m'",
        "line 2: 'Acme Dental' is the name of 2 organizations",
        "line 4: 'Delta Ltd' is there twice",
        "line 5: there is no organization 'Gone'",
    ]


GOOD = {
    "tag": {"tag": "blue", "selector": "plat == windows", "ttl": "60"},
    "untag": {"tag": "blue", "selector": "*"},
    "quota": {"quota": "25"},
    "subscribe": {"extension": "ext-yara"},
    "unsubscribe": {"extension": "ext-yara"},
    "add-user": {"email": "kim@acme.example", "role": "viewer", "invite": "yes"},
    "remove-user": {"email": "kim@acme.example"},
    "role": {"email": "kim@acme.example", "role": "Operator"},
    "revoke-key": {"key": "ci-deploy"},
    "set-output": {
        "name": "siem", "module": "s3", "stream": "detect",
        "options": "bucket=logs secret_key=hive://secret/s3 is_compression=true",
    },
    "remove-output": {"name": "siem"},
    "make-key": {"description": "Servers", "tags": "server, prod", "public_root_ca": "no"},
    "remove-key": {"description": "Servers"},
    "smoke": {"wait": "30"},
}  # fmt: skip


@pytest.mark.parametrize("name", list(KINDS))
def test_every_change_is_understood_with_what_it_needs_and_not_without(name: str) -> None:
    given = GOOD[name]
    found = wish(name, given)
    assert found.kind.verb in VERBS
    assert found.words
    for field in KINDS[name].fields:
        if field.needed:
            with pytest.raises(BadWish, match=f"^`{field.label}` is missing: "):
                wish(name, given | {field.name: "  "})


def test_what_is_understood_is_what_a_step_takes() -> None:
    tagged = wish("tag", GOOD["tag"])
    assert (tagged.arguments, tagged.selector) == ({"tag": "blue", "ttl": 60}, "plat == windows")
    assert wish("untag", GOOD["untag"]).selector == ""
    assert wish("quota", {"quota": "0"}).arguments == {"quota": 0}
    assert [wish("smoke", given).arguments["wait"] for given in ({}, {"wait": "30"})] == [120, 30]
    added = wish("add-user", GOOD["add-user"])
    assert (added.target, added.arguments) == ("kim@acme.example", {"invite": True, "role": "Viewer"})
    output = wish("set-output", GOOD["set-output"])
    assert output.target == "siem"
    assert output.arguments["options"]["secret_key"] == "hive://secret/s3"
    assert wish("make-key", GOOD["make-key"]).arguments == {
        "tags": ["prod", "server"],
        "public_root_ca": False,
    }


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("tag", {"tag": "a,b", "selector": "*"}, "comma"),
        ("tag", {"tag": "a", "selector": "*", "ttl": "soon"}, "whole number"),
        ("tag", {"tag": "a\x1b[31m", "selector": "*"}, "cannot be seen"),
        ("quota", {"quota": "-1"}, "whole number"),
        ("quota", {"quota": "٣"}, "whole number"),
        ("quota", {"quota": "1e9"}, "whole number"),
        ("subscribe", {"extension": "ext yara/../x"}, "no extension"),
        ("add-user", {"email": "kim"}, "no e-mail"),
        ("add-user", {"email": "kim@acme.example", "role": "King"}, "no role"),
        ("add-user", {"email": "kim@acme.example", "invite": "perhaps"}, "yes or no"),
        ("set-output", {"name": "x", "module": "s3", "stream": "everything"}, "no stream"),
        ("set-output", {"name": "x", "module": "s3", "stream": "event", "options": "bucket"}, "no option"),
        ("set-output", {"name": "x", "module": "s3", "stream": "event", "options": "for=x"}, "no option"),
        ("set-output", {"name": "x", "module": "s3", "stream": "event", "options": "a=1 a=2"}, "twice"),
        (
            "set-output",
            {"name": "x", "module": "s3", "stream": "event", "options": "secret_key=AKIAABCDEF"},
            "secret hive",
        ),
        (
            "set-output",
            {"name": "x", "module": "slack", "stream": "detect",
             "options": "dest_host=https://hooks.example.com/services/T0/B0/abcdefgh"},
            "secret hive",
        ),
        ("make-key", {"description": "x", "tags": "a", "public_root_ca": "x"}, "yes or no"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(name: str, values: dict[str, str], says: str) -> None:
    with pytest.raises(BadWish, match=says) as raised:
        wish(name, values)
    assert "AKIA" not in str(raised.value)
    assert str(raised.value).isprintable()
