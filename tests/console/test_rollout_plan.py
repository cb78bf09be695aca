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


@pytest.fixture
def stage(tmp_path):
    """A sandbox of three organizations that was read once, and a tree over them."""
    home = tmp_path / "rollout"
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


def test_a_record_is_planned_in_waves_folded_applied_behind_gates_and_then_there_is_nothing_to_do(stage):
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
