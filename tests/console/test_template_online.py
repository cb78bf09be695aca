"""`limegrove template test --online`: the sandbox validates what is in files, and keeps none of it."""

import asyncio
import json

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from store.secret import Secret
from tests.helpers.sandboxes import as_user, limegrove, sandbox_process

MAIN = "version: 3\ninclude: [rules.yaml]\nlimegrove: {parameters: {dir: {type: string, default: /tmp}}}\n"
RULES = """\
version: 3
hives:
  dr-general:
    good:
      data:
        detect: {event: NEW_PROCESS, op: starts with, path: event/FILE_PATH, value: '${dir}/'}
        respond: [{action: report, name: good}]
      usr_mtd: {enabled: true}
    odd:
      data:
        detect: {event: NEW_PROCESS, op: is, path: event/FILE_PATH, value: x}
        respond: [{action: report}]
      usr_mtd: {enabled: true}
  secret:
    mine: {data: {secret: not-a-real-one}, usr_mtd: {enabled: true}}
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    home = tmp_path_factory.mktemp("online")
    with sandbox_process(home, "--orgs", "1", "--detections", "0") as (serving, _):
        env = as_user(home, serving)
        assert limegrove("sync", "--only", "orgs", env=env).returncode == 0
        (home / "main.yaml").write_text(MAIN)
        (home / "rules.yaml").write_text(RULES)
        yield env, home, serving["oids"][0], serving


def test_each_record_of_a_hive_is_validated_by_the_cloud_and_no_secret_is_sent(stage):
    env, home, oid, _ = stage
    words = ("--online", "--org", oid, "--root", str(home), "--output", "json")
    answer = limegrove("template", "test", str(home / "main.yaml"), *words, env=env)
    assert answer.returncode == 1, answer.stderr
    online = {row["rule"]: row for row in json.loads(answer.stdout) if row["kind"] == "online"}
    assert set(online) == {"dr-general/good", "dr-general/odd"}
    assert online["dr-general/good"]["outcome"] == "pass"
    assert online["dr-general/odd"]["outcome"] == "refused"
    assert "name" in online["dr-general/odd"]["why"]
    assert online["dr-general/odd"]["file"].endswith("rules.yaml")
    assert (
        limegrove("template", "test", str(home / "rules.yaml"), "--offline", *words, env=env).returncode != 0
    )


def test_what_was_validated_is_not_kept(stage):
    env, home, oid, serving = stage
    words = ("--online", "--org", oid, "--root", str(home))
    assert limegrove("template", "test", str(home / "main.yaml"), *words, env=env).returncode == 1

    async def kept():
        key = UserKey(serving["uid"], Secret(serving["api_key"]))
        async with Cloud(key, Endpoint.single(serving["url"])) as cloud:
            return await cloud.organization(oid).hive("dr-general")

    assert not asyncio.run(kept()).keys() & {"good", "odd"}
