"""Forgetting an organization: a canary in every column, searched for in the bytes of every file."""

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    LargeBinary,
    create_engine,
    insert,
    select,
    text,
)

from store import forgetting, ingest, journal, maintenance, textindex, tree
from store.bodies import unpack
from store.configuration import content_hash
from store.database import Store, sqlite_path
from store.errors import StoreUnavailable
from store.forgetting import NOTHING, OURS, OWN, PLACES, CannotForget, Traces
from store.reviews import line_digest
from tests.helpers.canaries import NAMES, NOW, SHARED, TABLES, X, Y, canary, detection_of, fill, row_of

CANARIES = sorted(
    {X}
    | {canary(name, column.name, X) for name, table in TABLES.items() for column in table.columns}
    | {canary(word, X) for word in ("organization", "record", "body", "target", "detail", "command", "path", "label", "parameter", "label2", "parameter2", "group", "email", "deadline", "staged", "group log", "former", "left", "gone group", "gone member", "review", "line", "comment", "hosts", "queue", "run", "host")}
    | {canary("cat", X, number) for number in (0, 1)}
)  # fmt: skip


def _bytes(store: Store) -> bytes:
    """Everything that the store is, as it lies on the disk; of PostgreSQL every row of every table."""
    path = sqlite_path(store.url)
    if path is not None:
        return b"".join(
            each.read_bytes() for each in sorted(path.parent.iterdir()) if each.name.startswith(path.name)
        )
    engine = create_engine(store.url)
    rows = []
    with engine.connect() as connection:
        names = connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).scalars()
        for name in list(names):
            rows += connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars()
        rows += connection.execute(
            text("SELECT s::text FROM pg_stats s WHERE schemaname = 'public'")
        ).scalars()
    engine.dispose()
    return "\n".join(rows).encode()


def _look_through(store: Store) -> None:
    """Let PostgreSQL collate statistics of what is there, as it does by itself whenever it has time."""
    if store.dialect == "postgresql":
        with store.writing() as c:
            c.exec_driver_sql("ANALYZE")


def _found(held: bytes, words: list[str]) -> set[str]:
    """Which of these are there: by their end, for an index leaves a common beginning out."""
    return {word for word in words if word[-12:].encode() in held}


def _packed(store: Store, oid: str) -> list[bytes]:
    """The middles of the compressed bytes that one organization alone has."""
    found = []
    with store.reader.reading() as c:
        detection, body = TABLES["detection"], TABLES["detection_body"]
        query = (
            select(body.c.body)
            .join(detection, detection.c.id == body.c.detection_id)
            .where(detection.c.oid == oid)
        )
        found += list(c.execute(query).scalars())
        for name in ("case_record", "lcql_row"):
            column = next(each for each in TABLES[name].c if isinstance(each.type, LargeBinary))
            found += list(c.execute(select(column).where(TABLES[name].c.oid == oid)).scalars())
        rollout = TABLES["rollout_body"]
        found += list(c.execute(select(rollout.c.body).where(rollout.c.hash == f"previous-{oid}")).scalars())
    return [bytes(each)[len(each) // 2 - 6 : len(each) // 2 + 6] for each in found]


def _neighbour(store: Store) -> dict[str, list[Any]]:
    """Every row of the neighbour's own, exactly; and which alerts its words find."""
    answer: dict[str, list[Any]] = {}
    with store.reader.reading() as c:
        for name, table in sorted(TABLES.items()):
            if "oid" in table.c and name not in ("journal", "node", "organization_change", "sighting", "access_step", "campaign_note", "handover_item"):  # fmt: skip
                answer[name] = sorted(map(repr, c.execute(select(table).where(table.c.oid == Y))))
        body, detection = TABLES["detection_body"], TABLES["detection"]
        query = (
            select(body).join(detection, detection.c.id == body.c.detection_id).where(detection.c.oid == Y)
        )
        answer["detection_body"] = sorted(map(repr, c.execute(query)))
        for word in (canary("command", Y), canary("host", Y), canary("cat", Y, 0)):
            answer[word] = textindex.newest(c, textindex.words_query(store.dialect, word), limit=50)
            assert answer[word]
        answer["sightings"] = [each for each in textindex.sightings(c, SHARED) if each[0] == Y]
        of_folds = select(TABLES["fold"].c.storm).where(TABLES["fold"].c.oid == Y)
        answer["storm"] = sorted(c.execute(of_folds).scalars())
        storms = TABLES["storm"]
        held = c.execute(select(storms.c.key).where(storms.c.key.in_(answer["storm"]))).scalars()
        assert set(answer["storm"]) == set(held)
    return answer


def test_every_table_says_how_an_organization_is_forgotten_in_it() -> None:
    """Whoever adds a table says what becomes of it in `store.forgetting.PLACES`, and puts rows into this test."""
    assert set(PLACES) == {*TABLES, textindex.TABLE}
    for name, place in PLACES.items():
        if name in TABLES and "oid" in TABLES[name].c:
            assert place.how != NOTHING, name
        assert place.how in (OWN, OURS, NOTHING, "")
        assert place.how or place.said, f"{name}: nobody says what becomes of it"
        assert place.how != OWN or "oid" in TABLES[name].c, name


def test_nothing_of_it_is_left_in_any_byte_and_everything_of_its_neighbour(store: Store) -> None:
    if store.dialect == "sqlite":
        with store.writing() as c:  # some builds overwrite what they delete, others do not
            c.exec_driver_sql("PRAGMA secure_delete=OFF")
    fill(store)
    assert [each for each in maintenance.check(store.url) if not each.ok and each.name != "references"] == []
    with store.reader.reading() as c:
        for name, place in PLACES.items():
            if name in TABLES and place.how != NOTHING:
                assert c.execute(select(TABLES[name]).limit(1)).first() is not None, (
                    f"the test fills no {name}"
                )
    _look_through(store)
    before, packed = _neighbour(store), _packed(store, X)
    held = _bytes(store)
    planted = _found(held, CANARIES)
    assert len(planted) > 200
    told: list[str] = []

    found = forgetting.forget(store, X, actor="mk@here", now=NOW, report=told.append)
    if store.dialect == "sqlite":
        assert _found(_bytes(store), CANARIES), (
            "deleting alone would do, and the rest of this test shows nothing"
        )
    maintenance.rewrite(store.url)

    left = _bytes(store)
    assert _found(left, CANARIES) == set()
    assert not any(
        f"{NAMES[X]}{end}".encode() in left for end in ('"', "\n", ",", " and", " team", " readers", "/")
    )
    if store.dialect == "sqlite":
        assert [each for each in packed if each in left] == []
    else:
        assert [each for each in packed if each.hex().encode() in left] == []
    assert _neighbour(store) == before
    assert [each for each in maintenance.check(store.url) if not each.ok] == []
    assert found.rows["detection"] == 4
    assert found.entries >= 2
    assert told
    assert not maintenance.wants_rewriting(store.url)
    _shared_rows_stay(store)


def _shared_rows_stay(store: Store) -> None:
    """What was about both is there, and says the neighbour's name alone."""
    with store.reader.reading() as c:
        (groups,) = c.execute(select(TABLES["access_file"].c.groups)).scalars()
        assert [each["role"] for each in groups] == ["(forgotten) readers", "Viewer"]
        role = TABLES["group_role"]
        given = c.execute(select(role.c.role).where(role.c.gid == "g-both")).scalar_one()
        assert given == "(forgotten) readers"

        def ids(name: str) -> list[Any]:
            return sorted(c.execute(select(next(iter(TABLES[name].primary_key)))).scalars())

        for name in ("access_plan", "rollout_plan", "run"):
            assert ids(name) == [2, 3]
            draft = c.execute(select(TABLES[name]).where(TABLES[name].c.id == 2)).one()
            assert draft.title == f"Change (forgotten) and {NAMES[Y]}"
            assert draft.state in (5, 7), "what was shown is not what it is now"
        for name in ("campaign", "handover", "lcql_search", "triage_action", "access_review"):
            assert ids(name) == [2], name
        assert ids("saved_queue") == ["named", "other"]
        assert ids("preference")[-1] != "scope"
        assert ids("organization_group") == ["g-both"]
        former = TABLES["access_former"].c
        kept = c.execute(select(former.kind, former.gid, former.name).where(former.gid != "")).all()
        assert sorted(kept) == [
            ("group", "g-gone", "(forgotten) and others"), ("held", "g-gone", ""), ("member", "g-gone", ""),
            ("owner", "g-gone", ""),
        ]  # fmt: skip
        people = set(c.execute(select(TABLES["user_account"].c.email)).scalars())
        assert {"left@provider.example", "staff@provider.example"} <= people
        line = TABLES["review_line"]
        lines = {row.id: row for row in c.execute(select(line))}
        assert sorted(lines) == [2, 3, 4, 5]
        assert (lines[3].key, lines[4].key) == (f"direct {Y} a@b", f"key {Y} hash2")
        content = TABLES["review_content"]
        for row in lines.values():
            assert row.digest == line_digest(row.kind, row.principal, row.gid, row.permissions, row.places)
            body = c.execute(select(content.c.body).where(content.c.digest == row.places)).scalar_one()
            listed = json.loads(unpack(body))
            assert content_hash(listed) == row.places
            assert row.place_count == len(listed) == 1
        nodes = {row.id: row for row in c.execute(select(TABLES["node"]))}
        assert sorted(nodes) == ["all", "holding"]
        assert nodes["holding"].parameters == {"p": f"not of {NAMES[X]}!"}, "a neighbour's words are its own"
        storms = c.execute(select(TABLES["storm"].c.cat)).scalars().all()
        assert set(storms) == {canary("cat", Y, 0), canary("cat", Y, 1)}
        entries = c.execute(select(TABLES["journal"]).order_by(TABLES["journal"].c.seq)).all()
        mine = next(row for row in entries if row.action == "sensor.isolate")
        assert (mine.actor, mine.oid, mine.target, mine.detail) == ("mk@here", "", "(forgotten)", {})
        both = next(row for row in entries if row.action == "alert.close")
        assert both.target == f"4 alerts of (forgotten) and {NAMES[Y]}"
        assert both.detail == {"organizations": {Y: 2}, "listed": [Y], "path": "Europe/(forgotten)"}
        assert entries[-1].action == journal.FORGETTING
        assert entries[-1].detail["organization"] == content_hash(X), (
            "whoever knows the oid can tell that it was"
        )
        assert journal.verify(c) is None


def _two(store: Store, *, listed: bool = False) -> None:
    """Both organizations with alerts, the first one gone from the listing."""
    with store.writing() as c:
        rows = [{"oid": oid, "name": name} for oid, name in NAMES.items()]
        ingest.put_organizations(c, rows, complete=True, now=NOW)
        for oid in (X, Y):
            ingest.put_detections(c, oid, [detection_of(oid, number) for number in range(4)])
            journal.append(c, "mk@here", "sensor.isolate", oid, canary("target", oid))
        tree.replace_tree(c, [tree.TreeNode("all", None, "All"), tree.TreeNode("x", "all", NAMES[X], X)])
        if not listed:
            ingest.put_organizations(c, rows[1:], complete=True, now=NOW + 1)


def test_what_is_listed_held_or_being_changed_is_not_forgotten(store: Store) -> None:
    _two(store, listed=True)

    def why() -> str:
        with pytest.raises(CannotForget) as refused:
            forgetting.forget(store, X, actor="mk@here", now=NOW)
        return str(refused.value)

    assert "still lists Vexatia Dental" in why()
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": Y, "name": NAMES[Y]}], complete=True, now=NOW + 1)
        tree.mark_node(c, "all", add=["hold"])
    assert "carries the mark hold" in why()
    with store.writing() as c:
        tree.mark_node(c, "all", remove=["hold"])
        for table, part, key in (("run", "run_item", "run_id"), ("access_plan", "access_step", "plan_id")):
            c.execute(insert(TABLES[table]).values(row_of(table, Y, id=1, state=1)))
            c.execute(insert(TABLES[part]).values(row_of(part, X, **{key: 1})))
    assert "Access plan 1 is being made" in why()
    with store.writing() as c:
        c.execute(TABLES["access_plan"].update().values(state=2))
    assert "Run 1 is being made" in why()
    with store.reader.reading() as c:
        assert c.execute(select(TABLES["detection"].c.id)).all(), "nothing was touched"
    with pytest.raises(CannotForget, match="nothing of the organization"):
        forgetting.forget(store, canary("nobody"), actor="mk@here", now=NOW)


def test_what_was_cut_off_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.alertremoval.TOGETHER", 1)
    _two(store)

    def dies(said: str) -> None:
        if said.startswith("2 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forgetting.forget(store, X, actor="mk@here", now=NOW, report=dies)
    assert maintenance.wants_rewriting(store.url), "whoever looks can tell that something is left to do"

    found = forgetting.forget(store, X, actor="mk@here", now=NOW)
    maintenance.rewrite(store.url)

    assert (found.name, found.rows["detection"]) == (NAMES[X], 2)
    assert [each for each in maintenance.check(store.url) if not each.ok] == []
    assert _found(_bytes(store), [X, canary("command", X), canary("target", X)]) == set()


@pytest.mark.postgres
def test_writing_anew_leaves_the_schema_as_it_was(made_url: str) -> None:
    def shape() -> list[str]:
        engine = create_engine(made_url)
        with engine.connect() as connection:
            found = [str(each) for query in _DEFINITIONS for each in connection.execute(text(query))]
        engine.dispose()
        return sorted(found)

    with closing(Store(made_url)) as store:
        fill(store)
        _look_through(store)
        before = shape()
        assert len(before) > 500
        with store.writing() as c:
            c.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for name in TABLES:
                c.exec_driver_sql(f'DELETE FROM "{name}"')
        maintenance.rewrite(made_url)
        assert shape() == before


_DEFINITIONS = (
    "SELECT tgrelid::regclass, tgname, pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid >= 16384",
    "SELECT attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod), attcollation, attnotnull,"
    " pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    " JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0",
)


def test_while_somebody_reads_the_log_is_not_called_empty(tmp_path: Path, sqlite_made: Path) -> None:
    (tmp_path / "store.db").write_bytes(sqlite_made.read_bytes())
    with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        _two(store)
        with store.reader.reading() as c:
            c.execute(select(TABLES["detection"])).all()
            forgetting.forget(store, X, actor="mk@here", now=NOW)
            with pytest.raises(StoreUnavailable, match="store prune --rewrite"):
                maintenance.rewrite(store.url)
            assert maintenance.wants_rewriting(store.url)
        maintenance.rewrite(store.url)
        assert not maintenance.wants_rewriting(store.url)
        assert _found(_bytes(store), [X, canary("command", X)]) == set()


@pytest.mark.postgres
def test_while_somebody_holds_a_table_it_is_not_called_written_anew(
    made_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.maintenance.PATIENCE", 1)
    with closing(Store(made_url)) as store:
        _two(store)
        forgetting.forget(store, X, actor="mk@here", now=NOW)
        engine = create_engine(made_url)
        with engine.connect() as other:
            other.execute(text("LOCK TABLE sensor IN ACCESS SHARE MODE"))
            with pytest.raises(StoreUnavailable, match="store prune --rewrite"):
                maintenance.rewrite(store.url)
        engine.dispose()
        assert maintenance.wants_rewriting(store.url)
        maintenance.rewrite(store.url)
        assert not maintenance.wants_rewriting(store.url)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE journal SET target = 'other' WHERE seq = 1", 1),
        ("UPDATE journal SET oid = 'back' WHERE seq = 1", 1),
        ("UPDATE journal SET actor = 'other' WHERE seq = 1", 1),
        ("UPDATE journal SET target = '(forgotten)', detail = '{}', oid = '' WHERE seq = 2", 2),
        ("UPDATE journal SET detail = '{\"entries\": []}' WHERE seq = 3", 1),
        ("DELETE FROM journal WHERE seq = 3", 1),
    ],
)
def test_what_was_taken_out_of_the_journal_is_accounted_for_and_nothing_else_is(
    store: Store, statement: str, broken: int
) -> None:
    _two(store)
    forgetting.forget(store, X, actor="mk@here", now=NOW)
    with store.reader.reading() as c:
        assert journal.verify(c) is None
    with store.writing() as c:
        c.execute(text(statement))
    with store.reader.reading() as c:
        assert journal.verify(c) == broken


def test_two_are_forgotten_one_after_the_other(store: Store) -> None:
    _two(store)
    with store.writing() as c:
        journal.append(c, "mk@here", "run.finish", target=f"{NAMES[X]} | {NAMES[Y]}", detail={"oids": [X, Y]})
        ingest.put_organizations(c, [], complete=True, now=NOW + 2)
    for oid in (X, Y):
        forgetting.forget(store, oid, actor="mk@here", now=NOW)
    with store.reader.reading() as c:
        assert journal.verify(c) is None
        said = c.execute(select(TABLES["journal"]).where(TABLES["journal"].c.action == "run.finish")).one()
    assert (said.target, said.detail) == ("(forgotten) | (forgotten)", {"oids": []})


@pytest.mark.parametrize("word", ["done", "file", "entries"])
def test_whoever_is_called_as_an_ordinary_word_breaks_nothing_of_others(store: Store, word: str) -> None:
    gone, y, z = "cccccccc-3333-4000-8000-00000000000c", Y, X
    with store.writing() as c:
        rows = [
            {"oid": y, "name": NAMES[y]},
            {"oid": z, "name": "Zebra"},
            {"oid": gone, "name": word.title()},
        ]
        ingest.put_organizations(c, rows, complete=True, now=NOW)
        nodes = [tree.TreeNode("all", None, "All"), tree.TreeNode(word, "all", word.title(), gone)]
        tree.replace_tree(c, [*nodes, tree.TreeNode("y", "all", NAMES[y], y)])
        run = {"id": 1, "kind": "bulk", "state": 2, "source": f"{word}:{word}s.csv", "title": "A change"}
        c.execute(insert(TABLES["run"]).values(row_of("run", y, **run)))
        c.execute(insert(TABLES["run_item"]).values(row_of("run_item", y, run_id=1, item=1)))
        step = {"verb": f"{word}.thing", "target": word, "before": {word: word}}
        c.execute(insert(TABLES["run_step"]).values(row_of("run_step", y, run_id=1, item=1, seq=1, **step)))
        change = {"kind": word, "oid": y, "permission": word, word: 1}
        deadline = {"id": 1, "kind": word, "outcome": word, "changes": [change]}
        c.execute(insert(TABLES["access_deadline"]).values(row_of("access_deadline", y, **deadline)))
        action = {"id": 1, "verb": word, "detail": {"kinds": [word, "x"], word: [1], "counts": {word: 2}}}
        c.execute(insert(TABLES["triage_action"]).values(row_of("triage_action", y, **action)))
        for key in (word, "pane"):
            c.execute(insert(TABLES["preference"]).values(key=key, value={word: 1, "open": [y]}))
        ingest.put_organizations(c, rows[:1], complete=True, now=NOW + 1)
    forgetting.forget(store, z, actor="mk@here", now=NOW)
    with store.writing() as c:
        detail = {"step": word, "outcome": word, "marks": [word], "counts": {word: 3}, "by": "mk"}
        journal.append(c, "mk@here", "run.finish", y, "A change", detail)
    names = ("run", "run_item", "run_step", "access_deadline", "triage_action", "preference", "journal")

    def held() -> dict[str, list[Any]]:
        with store.reader.reading() as c:
            every = {
                table.name: [row._mapping for row in c.execute(select(table).order_by(*table.primary_key))]
                for table in (TABLES[name] for name in names)
            }
        every["preference"] = [row for row in every["preference"] if row["key"] in (word, "pane")]
        return {name: [dict(row) for row in rows] for name, rows in every.items()}

    before = held()

    forgetting.forget(store, gone, actor="mk@here", now=NOW)

    after = held()
    assert {name: after[name] for name in names[:-1]} == {name: before[name] for name in names[:-1]}
    assert after["journal"][: len(before["journal"])] == before["journal"]
    assert [each["target"] for each in after["journal"][len(before["journal"]) :]] == ["(forgotten)"] * 2
    with store.reader.reading() as c:
        assert journal.verify(c) is None


def test_what_it_was_called_is_out_of_the_journal_wherever_it_is_killed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _two(store)
    former = "Vexatious Teeth"
    with store.writing() as c:
        c.execute(TABLES["node"].update().where(TABLES["node"].c.id == "x").values(name=former))
        changed = {"x": {"before": {"name": NAMES[X]}, "after": {"name": former}}}
        journal.append(c, "mk@here", "tree.import", detail={"nodes": 2, "changed": changed})
        journal.append(c, "mk@here", "tree.mark", target="x", detail={"add": ["leaving"]})
        journal.append(c, "mk@here", "org.bulk", Y, f"not {former}", {"below": former})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("store.alertremoval.remove", dies)
        with pytest.raises(KeyboardInterrupt):
            forgetting.forget(store, X, actor="mk@here", now=NOW)
    forgetting.forget(store, X, actor="mk@here", now=NOW)

    with store.reader.reading() as c:
        assert journal.verify(c) is None
        entries = {row.action: row for row in c.execute(select(TABLES["journal"]))}
    assert entries["tree.import"].detail == {"nodes": 2, "changed": {}}
    assert entries["tree.mark"].target == "(forgotten)"
    assert (entries["org.bulk"].target, entries["org.bulk"].detail) == (
        "not (forgotten)", {"below": "(forgotten)"},
    )  # fmt: skip


def test_a_copy_that_was_made_while_something_ran_is_cleaned_and_a_held_one_is_not(store: Store) -> None:
    _two(store, listed=True)
    with store.writing() as c:
        c.execute(insert(TABLES["run"]).values(row_of("run", Y, id=1, state=1)))
        c.execute(insert(TABLES["run_item"]).values(row_of("run_item", X, run_id=1)))
        tree.mark_node(c, "x", add=["hold"])
    with pytest.raises(CannotForget, match="carries the mark hold"):
        forgetting.forget(store, X, actor="mk@here", now=NOW, copy=True)
    with store.writing() as c:
        tree.mark_node(c, "x", remove=["hold"])
    forgetting.forget(store, X, actor="mk@here", now=NOW, copy=True)
    with store.reader.reading() as c:
        assert forgetting.held(c, X) == {}


def test_a_name_is_found_as_whole_words_and_is_not_its_neighbours() -> None:
    found = Traces(X, ["Acme", "Ök"], ["Acme Dental", "Other"], ["acme"])
    assert found.text("ACME and acme-fs01, not Acmeology or Acme Dental") == (
        "(forgotten) and (forgotten)-fs01, not Acmeology or Acme Dental"
    )
    assert found.text("acme") == "(forgotten)"
    assert found.text("Ök") == "Ök", "two letters are in every word"
    assert found.data({X: 1, "acme": 2, "a": [X, "Acme", {"oid": X}, [X, 1], "of Acme", 3], "Acme": 4}) == {
        "a": ["of (forgotten)", 3], "(forgotten)": 4,
    }  # fmt: skip


def test_a_role_of_the_provider_is_a_name_and_one_of_limacharlie_is_a_word() -> None:
    found = Traces(X, ["Globex", "Viewer"], [])
    assert found.data([{"name": "Globex admins", "role": "Globex readers"}], nodes=False) == [
        {"name": "(forgotten) admins", "role": "(forgotten) readers"}
    ]
    assert found.data({"role": "Viewer"}, nodes=False) == {"role": "Viewer"}
    assert found.data({"role": "Viewer of all"}, nodes=False) == {"role": "(forgotten) of all"}


def test_the_copies_beside_a_store_are_named(tmp_path: Path, sqlite_made: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sqlite_made.read_bytes())
    with closing(Store(f"sqlite:///{path}")) as store:
        _two(store)
        beside = tmp_path / "store.db.backup-0002-20260101T000000Z"
        maintenance.backup(store.url, beside)
        os.link(beside, tmp_path / "unrelated.db")
        assert maintenance.copies(store.url) == [beside]
        assert maintenance.holding(beside, [X])
        assert not maintenance.holding(beside, [canary("nobody")])
