"""A plan from real reading: templates against what the sandbox has, through the command line."""

import json

import pytest

from tests.helpers.sandboxes import as_user, limegrove, sandbox_process

FP = "{{data: {{op: is, path: cat, value: '{}'}}, usr_mtd: {{enabled: {}, tags: [provider]}}}}"
BASE = "version: 3\nhives:\n  fp:\n    scanner: " + FP + "\n"


def done(env, *arguments: str, code: int = 0):
    answer = limegrove(*arguments, "--output", "json", env=env)
    assert answer.returncode == code, answer.stdout + answer.stderr
    return json.loads(answer.stdout) if answer.stdout.strip() else None


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A sandbox of three organizations that was read once, and a tree over them."""
    home = tmp_path_factory.mktemp("rollout")
    with sandbox_process(home, "--orgs", "3", "--detections", "0") as (serving, _):
        env = as_user(home, serving)
        done(env, "sync", "--only", "orgs,config")
        oids = [row["oid"] for row in done(env, "org", "list")]
        tree = [
            "- {id: root, parent: null, name: All}",
            "- {id: canary, parent: root, name: First, marks: [canary]}",
        ]
        tree += [
            f"- {{id: o{n}, parent: {'canary' if n == 0 else 'root'}, name: O{n}, oid: {oid}}}"
            for n, oid in enumerate(oids)
        ]
        (home / "tree.yaml").write_text("\n".join(tree) + "\n")
        done(env, "tree", "import", str(home / "tree.yaml"))
        yield env, home, oids


def test_a_new_record_is_planned_for_every_organization_in_waves_and_folded(stage):
    env, home, oids = stage
    (home / "base.yaml").write_text(BASE.format("a", "true"))
    done(env, "template", "import", str(home / "base.yaml"), "--root", str(home))
    done(env, "template", "assign", "base", "root")
    checked = done(env, "rollout", "plan", "--check", code=4)
    assert checked["plan"] is None
    found = done(env, "rollout", "plan", "--title", "Scanner", code=4)
    assert found["hash"] == checked["hash"]
    assert found["organizations"] == 3
    assert [(fold["count"], fold["changes"]) for fold in found["folds"]] == [
        (
            3,
            [
                {
                    "section": "hive/fp", "name": "scanner", "class": "added", "destructive": False,
                    "template": "base", "version": 1, "diff": [],
                }
            ],
        )
    ]  # fmt: skip
    assert sorted(found["folds"][0]["oids"]) == sorted(oids)
    status = done(env, "rollout", "status", str(found["plan"]))
    assert status["state"] == "draft"
    assert [(wave["name"], wave["organizations"]) for wave in status["waves"]] == [
        ("canary", 1), ("10%", 1), ("rest", 1),
    ]  # fmt: skip
    assert status["steps"][0]["oid"] == oids[0]
    assert {step["outcome"] for step in status["steps"]} == {"waiting"}


def test_a_plan_for_what_is_as_wanted_says_that_there_is_nothing_to_do(stage):
    env, home, _ = stage
    (home / "nothing.yaml").write_text("version: 3\n")
    done(env, "template", "import", str(home / "nothing.yaml"), "--root", str(home))
    done(env, "template", "unassign", "base", "root")
    done(env, "template", "assign", "nothing", "root")
    found = done(env, "rollout", "plan")
    assert (found["plan"], found["folds"], found["blocked"]) == (None, [], [])
    done(env, "template", "unassign", "nothing", "root")
    done(env, "template", "assign", "base", "root")


def test_a_plan_is_applied_behind_its_gates_and_what_the_cloud_has_is_as_wanted(stage):
    env, home, oids = stage
    (home / "base.yaml").write_text(BASE.format("applied", "true"))
    done(env, "template", "import", str(home / "base.yaml"), "--root", str(home))
    plan = done(env, "rollout", "plan", "--wave", "1", "--wave", "rest", code=4)["plan"]
    asked = limegrove("rollout", "apply", str(plan), "--output", "json", env=env)
    assert asked.returncode != 0
    found = done(env, "rollout", "apply", str(plan), "--yes")
    assert found == {"plan": plan, "state": "done", "applied": 3, "failed": [], "halted": None}
    status = done(env, "rollout", "status", str(plan))
    assert [wave["state"] for wave in status["waves"]] == ["done", "done"]
    assert set(status["waves"][0]["gate"]["checks"]) == {"read back", "errors", "sensors", "detections"}
    assert done(env, "rollout", "plan")["folds"] == []
    done(env, "sync", "--only", "orgs,config")
    assert done(env, "rollout", "plan")["folds"] == []
    again = limegrove("rollout", "apply", str(plan), "--yes", env=env)
    assert again.returncode == 5
    assert "cannot be applied: it is done" in again.stderr
    assert limegrove("rollout", "apply", str(plan), "--yes", "--read-only", env=env).returncode == 5
    assert limegrove("rollout", "apply", "999", "--yes", env=env).returncode == 2
    assert len(oids) == 3
