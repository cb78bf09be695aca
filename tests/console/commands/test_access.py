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


# Why


def explained(limegrove, principal, permission, org=OIDS[0], *more):
    return limegrove(
        "access", "explain", "--principal", principal, "--permission", permission, "--org", org, *more
    )


def test_explain_names_every_path_and_the_smallest_cuts(filled, limegrove):
    answer = explained(limegrove, "ann@example.com", "org.get")

    assert answer.code == 0
    found = answer.json
    assert found["granted"] is True
    assert [(path["via"], path.get("gid")) for path in found["paths"]] == [("direct", None), ("group", GID)]
    assert found["paths"][1]["name"] == "Tier 1"
    assert (found["paths"][1]["organizations"], found["paths"][1]["complete"]) == (1, False)
    assert found["paths"][0]["since"] is None
    assert found["missing"] == []
    # Leaving the group costs ann sensor.get, taking org.get from it costs bob that, the organization both three.
    revoke = {"change": "revoke", "principal": "ann@example.com", "permission": "org.get"}
    assert found["cuts"] == [
        [revoke, {"change": "remove_member", "gid": GID, "principal": "ann@example.com"}],
        [revoke, {"change": "remove_group_permission", "gid": GID, "permission": "org.get"}],
    ]
    assert found["cut_effects"] == [{"organizations": 1, "other_grants_lost": 1}] * 2
    assert found["more_cuts"] is False


def test_explain_names_the_missing_link(filled, limegrove):
    found = explained(limegrove, "bob@example.com", "dr.set").json

    assert (found["granted"], found["paths"], found["cuts"]) == (False, [], [])
    assert [(each["link"], each.get("gid")) for each in found["missing"]] == [
        ("group_lacks_permission", GID),
        ("no_direct_grant", None),
    ]


def test_explain_knows_a_key_by_its_hash(filled, limegrove):
    from store import ingest
    from store.database import Store

    found = explained(limegrove, "c0ffee", "org.get").json
    assert (found["kind"], found["name"], found["paths"][0]["by"]) == ("key", "=backup", "ann@example.com")
    assert found["cuts"] == [[{"change": "revoke", "principal": "c0ffee", "permission": "org.get"}]]
    # Its keys were never read, says the state of the reading: what it has not is not known.
    never = explained(limegrove, "c0ffee", "dr.set")
    assert never.json["granted"] is None
    assert "was never read" in never.err
    store = Store(f"sqlite:///{filled / 'default' / 'store.db'}")
    with store.writing() as connection:
        ingest.put_sync_state(connection, OIDS[0], "keys", checked_at=1, attempted_at=1)
    store.close()
    assert explained(limegrove, "c0ffee", "dr.set").json["granted"] is False


def test_explain_is_a_table_of_clauses(filled, limegrove):
    out = explained(limegrove, "ann@example.com", "org.get", OIDS[0], "--output", "csv").out

    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert rows[0] == ["what", "how"]
    assert [row[0] for row in rows[1:]] == ["path", "path", "smallest cut", "smallest cut"]
    assert rows[2][1].startswith("group Tier 1: at least 1 organization, 2 members")
    assert (
        rows[3][1]
        == "revoke the direct grant; leave Tier 1   (2 changes, 1 organization, 1 other grant lost)"
    )


def test_who_names_everybody_with_their_paths(filled, limegrove):
    answer = limegrove("access", "who", "--permission", "org.get", "--org", "Acme Corp")

    assert answer.code == 0
    assert [
        (each["principal"], each["kind"], [(path["via"], path.get("gid")) for path in each["paths"]])
        for each in answer.json
    ] == [
        ("ann@example.com", "user", [("direct", None), ("group", GID)]),
        ("bob@example.com", "user", [("group", GID)]),
        ("c0ffee", "key", [("direct", None)]),
    ]
    table = limegrove("access", "who", "--permission", "org.get", "--org", "Acme Corp", "--output", "table")
    assert table.err.splitlines()[-1].startswith("3 have org.get on Acme Corp, read 2")
    assert limegrove("access", "who", "--permission", "user.ctrl", "--org", "Acme Corp").json == []


def test_what_was_never_read_is_not_known_to_be_missing(filled, limegrove):
    answer = explained(limegrove, "ann@example.com", "dr.set", OIDS[1])

    assert (answer.code, answer.json["granted"]) == (0, None)
    assert answer.err.startswith("Who may do what on Böhm & Söhne was never read")
    assert "was never read" in limegrove("access", "who", "--permission", "dr.set", "--org", OIDS[1]).err


def test_an_unknown_principal_permission_or_organization_is_one_sentence_and_exit_code_2(filled, limegrove):
    for answer, begins in (
        (
            explained(limegrove, "x\x1b[2J@example.com", "dr.set"),
            "limegrove: There is no principal `x\\x1b[2J@",
        ),
        (explained(limegrove, "ann@example.com", "dr.sett"), "limegrove: There is no permission `dr.sett`"),
        (explained(limegrove, "ann@example.com", "dr.set", "nobody"), "limegrove: There is no organization"),
        (
            limegrove("access", "who", "--permission", "x", "--org", OIDS[0]),
            "limegrove: There is no permission `x`",
        ),
    ):
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith(begins)
        assert len(answer.err.splitlines()) == 1
    assert limegrove("access", "explain", "--org", OIDS[0]).code == 2
