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
            "resources": [{"of": "rules", "namespace": "general", "verbs": ["set"]}],
            "flairs": [],
            "acl_scopes": [],
        },
        {
            "principal": "bob@example.com",
            "name": "bob@example.com",
            "kind": "user",
            "permissions": ["org.get", "sensor.get"],
            "via": {"org.get": [f"group:{GID}"], "sensor.get": [f"group:{GID}"]},
            "resources": [],
            "flairs": [],
            "acl_scopes": [],
        },
        {
            "principal": GID,
            "name": "Tier 1",
            "kind": "group",
            "permissions": ["org.get", "sensor.get"],
            "via": {"org.get": ["direct"], "sensor.get": ["direct"]},
            "resources": [],
            "flairs": [],
            "acl_scopes": [],
        },
        {
            "principal": "c0ffee",
            "name": "=backup",
            "kind": "key",
            "permissions": ["org.get"],
            "via": {"org.get": ["direct"]},
            "resources": [],
            "flairs": [],
            "acl_scopes": [],
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

    assert (answer.code, answer.json["granted"]) == (3, None)
    assert answer.err.startswith("Who may do what on Böhm & Söhne was never read")
    who = limegrove("access", "who", "--permission", "dr.set", "--org", OIDS[1])
    assert (who.code, who.json) == (3, [])
    assert "was never read" in who.err


def test_a_scope_that_is_nowhere_is_a_mistake_beside_an_organization_too(filled, limegrove):
    for asked in (
        ("matrix", "--org", OIDS[0]),
        ("explain", "--principal", "ann@example.com", "--permission", "org.get", "--org", OIDS[0]),
        ("who", "--permission", "org.get", "--org", OIDS[0]),
    ):
        answer = limegrove("--scope", "nowhere", "access", *asked)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("limegrove: --scope: the tree has no node `nowhere`")


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


# The matrix of a principal, of a permission


def test_a_principal_has_a_line_for_each_organization_it_is_anything_on(filled, limegrove):
    answer = limegrove("access", "matrix", "--principal", "Ann@example.com")

    assert answer.code == 0
    found = answer.json
    assert (found["pivot"], found["principal"], found["kind"]) == ("principal", "ann@example.com", "user")
    assert found["groups"] == {GID: {"name": "Tier 1", "permissions": ["org.get", "sensor.get"]}}
    assert found["organizations"] == [
        {
            "oid": OIDS[0],
            "organization": "Acme Corp",
            "path": "Acme Corp",
            "permissions": ["dr.set", "org.get", "sensor.get"],
            "direct": ["dr.set", "org.get"],
            "groups": [GID],
            "resources": [{"of": "rules", "namespace": "general", "verbs": ["set"]}],
        }
    ]
    # Of two organizations nobody ever read who may do what: their absence means nothing.
    assert {each["oid"] for each in found["lacking"]} == set(OIDS[1:])
    assert "1 of 3 organizations are in this" in answer.err


def test_a_key_and_a_group_are_principals_too(filled, limegrove):
    key = limegrove("access", "matrix", "--pivot", "principal", "--principal", "c0ffee").json
    assert (key["kind"], key["name"]) == ("key", "=backup")
    assert [(each["oid"], each["direct"]) for each in key["organizations"]] == [(OIDS[0], ["org.get"])]
    group = limegrove("access", "matrix", "--principal", GID).json
    assert (group["kind"], group["name"]) == ("group", "Tier 1")
    assert [(each["oid"], each["permissions"], each["groups"]) for each in group["organizations"]] == [
        (OIDS[0], ["org.get", "sensor.get"], [GID])
    ]


def test_a_permission_has_a_line_for_each_principal_that_has_it_anywhere(filled, limegrove):
    answer = limegrove("access", "matrix", "--permission", "org.get")

    assert answer.code == 0
    found = answer.json
    assert (found["pivot"], found["permission"], found["privileged"]) == ("permission", "org.get", False)
    assert found["groups"] == {GID: {"name": "Tier 1", "organizations": [OIDS[0]]}}
    assert set(found["organizations"]) == set(OIDS)
    assert [
        (each["principal"], each["kind"], each["organizations"], each["direct"], each["groups"])
        for each in found["principals"]
    ] == [
        ("ann@example.com", "user", 1, [OIDS[0]], [GID]),
        ("bob@example.com", "user", 1, [], [GID]),
        (GID, "group", 1, [], [GID]),
        ("c0ffee", "key", 1, [OIDS[0]], []),
    ]
    table = limegrove("access", "matrix", "--permission", "org.get", "--output", "table")
    assert table.out.splitlines()[0].split() == ["PRINCIPAL", "KIND", "ORGANIZATIONS", "VIA"]
    assert table.err.splitlines()[-1].startswith(
        "4 principals have org.get on any of 3 organizations, read 2"
    )


def test_a_filter_keeps_what_it_names(filled, limegrove):
    def principals(line):
        found = limegrove("access", "matrix", "--org", OIDS[0], "--filter", line).json["principals"]
        return [each["principal"] for each in found]

    assert principals("kind:user") == ["ann@example.com", "bob@example.com"]
    assert principals("has:dr.") == ["ann@example.com"]
    assert principals("group:tier kind:user") == ["ann@example.com", "bob@example.com"]
    assert principals("domain:example.com bob") == ["bob@example.com"]
    assert principals("domain:ample.com") == []
    some = limegrove("access", "matrix", "--org", OIDS[0], "--filter", "perm:sensor ann").json["principals"]
    assert [each["permissions"] for each in some] == [["sensor.get"]]


def test_a_matrix_of_nothing_of_two_things_or_with_an_odd_filter_is_refused(filled, limegrove):
    for more in (
        [],
        ["--org", OIDS[0], "--permission", "dr.set"],
        ["--pivot", "principal", "--org", OIDS[0]],
        ["--org", OIDS[0], "--filter", "colour:red"],
        ["--org", OIDS[0], "--filter", "role:king"],
        ["--principal", "nobody@example.com"],
        ["--permission", "no.such"],
    ):
        answer = limegrove("access", "matrix", *more)
        assert (answer.code, answer.out) == (2, ""), more
        assert len(answer.err.splitlines()) == 1, more


# What if


def what_if(limegrove, *lines):
    return limegrove("access", "what-if", *(part for line in lines for part in ("--change", line)))


def test_what_if_says_who_gains_what_where_and_calls_out_the_privileged(filled, limegrove):
    answer = what_if(limegrove, "give user.ctrl 'Tier 1'", "hold 'Böhm & Söhne' 'Tier 1'")

    assert answer.code == 4
    found = answer.json
    assert [each["change"] for each in found["changes"]] == ["add_org", "add_group_permission"]
    assert found["changes"][1]["words"] == "give user.ctrl to group Tier 1"
    assert found["gained"]["count"] == 2 * (2 + 2)
    assert found["lost"] == {"count": 0, "rows": [], "more": False}
    assert found["organizations"] == {"count": 2, "oids": OIDS[:2]}
    assert found["people"]["principals"] == ["ann@example.com", "bob@example.com"]
    assert [
        (each["principal"], each["permission"], each["organizations"]) for each in found["privileged_gains"]
    ] == [("ann@example.com", "user.ctrl", 2), ("bob@example.com", "user.ctrl", 2)]
    assert {
        "principal": "ann@example.com", "kind": "user", "permission": "org.get", "before": 1, "after": 2,
        "gained": 1, "lost": 0,
    } in found["before_after"]  # fmt: skip
    assert "known from its organizations only" in answer.err


def test_what_if_is_a_table_with_the_privileged_gains_first(filled, limegrove):
    answer = limegrove(
        "access", "what-if", "--change", "give user.ctrl 'Tier 1'", "--change", "leave bob@example.com 'Tier 1'",
        "--output", "table",
    )  # fmt: skip
    header, first, *_ = answer.out.splitlines()
    assert header.split()[:6] == ["PRINCIPAL", "PERMISSION", "BEFORE", "AFTER", "GAINED", "LOST"]
    assert first.split()[:6] == ["ann@example.com", "user.ctrl", "0", "1", "1", "0"]
    assert "! ann@example.com gains user.ctrl on Acme Corp" in answer.err.splitlines()
    assert answer.err.splitlines()[-1] == (
        "1 grant gained, 2 lost: 2 principals on 1 organization; it touches 1 organization, 0 of them protected."
    )


def test_what_changes_nothing_for_anybody_is_exit_code_0(filled, limegrove):
    answer = what_if(limegrove, "revoke ann@example.com org.get 'Acme Corp'")

    assert answer.code == 0
    assert answer.json["before_after"] == []
    assert answer.json["touched"] == {"count": 1, "oids": [OIDS[0]]}


def test_what_if_of_nothing_or_of_a_line_that_is_none_is_exit_code_2(filled, limegrove):
    for answer in (
        limegrove("access", "what-if"),
        limegrove("access", "what-if", "--staged"),
        what_if(limegrove, "join kim@acme.example Nowhere"),
        what_if(limegrove, "join kim@acme.example new:Nowhere"),
        what_if(limegrove, "dance"),
    ):
        assert (answer.code, answer.out) == (2, "")
        assert len(answer.err.splitlines()) == 1
