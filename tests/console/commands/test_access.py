"""`limegrove access` on a real store."""

import csv
import io

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
GID = "99999999-0000-4000-8000-000000000000"


def test_the_matrix_names_for_every_permission_every_way_to_it(filled, limegrove):
    answer = limegrove("access", "matrix", "--org", OIDS[0])

    assert answer.code == 0
    matrix = answer.json
    assert (matrix["oid"], matrix["organization"]) == (OIDS[0], "Acme Corp")
    assert matrix["groups"] == {GID: "Tier 1"}
    assert matrix["principals"] == [
        {
            "principal": "ann@example.com",
            "name": "ann@example.com",
            "kind": "user",
            "permissions": ["dr.set", "org.get", "sensor.get"],
            "via": {
                "dr.set": ["direct"],
                "org.get": ["direct", f"group:{GID}"],
                "sensor.get": [f"group:{GID}"],
            },
        },
        {
            "principal": "bob@example.com",
            "name": "bob@example.com",
            "kind": "user",
            "permissions": ["org.get", "sensor.get"],
            "via": {"org.get": [f"group:{GID}"], "sensor.get": [f"group:{GID}"]},
        },
        {
            "principal": GID,
            "name": "Tier 1",
            "kind": "group",
            "permissions": ["org.get", "sensor.get"],
            "via": {"org.get": ["direct"], "sensor.get": ["direct"]},
        },
        {
            "principal": "c0ffee",
            "name": "=backup",
            "kind": "key",
            "permissions": ["org.get"],
            "via": {"org.get": ["direct"]},
        },
    ]


def test_the_table_has_a_line_for_each_principal_by_name(filled, limegrove):
    answer = limegrove("access", "matrix", "--org", "Acme Corp", "--output", "table")

    header, ann, bob, group, key = answer.out.splitlines()
    assert header.split() == ["PRINCIPAL", "KIND", "PERMISSIONS", "VIA"]
    assert ann.split() == ["ann@example.com", "user", "3", "direct,", "group", "Tier", "1"]
    assert bob.split() == ["bob@example.com", "user", "2", "group", "Tier", "1"]
    assert group.split()[:3] == ["Tier", "1", "group"]
    assert key.split()[:2] == ["=backup", "key"]
    assert answer.err.startswith("4 principals on Acme Corp, read 2")


def test_csv_disarms_the_name_of_a_key(filled, limegrove):
    out = limegrove("access", "matrix", "--org", "Acme Corp", "--output", "csv").out

    assert [row[0] for row in csv.reader(io.StringIO(out, newline=""))][-1] == "'=backup"


def test_an_organization_whose_access_was_never_read_says_so(filled, limegrove):
    answer = limegrove("access", "matrix", "--org", OIDS[1])

    assert answer.code == 0
    assert answer.json["principals"] == []
    assert answer.err.startswith("Who may do what on Böhm & Söhne was never read")


def test_an_unknown_organization_is_one_sentence_and_exit_code_2(filled, limegrove):
    answer = limegrove("access", "matrix", "--org", "nobody")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("limegrove: There is no organization `nobody`")
