"""The connection drops in the middle of a wave, or the machine does: who comes back sees where it stands."""

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from console.operations import rollouts
from store.database import Store
from store.times import now_ms
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox

FP = "version: 3\nhives:\n  fp:\n    scanner: {{data: {{op: is, path: cat, value: {}}}, usr_mtd: {{enabled: true}}}}\n"
RECORD = "/v1/hive/{hive}/{oid}/{key}/data"


class Operator:
    """Somebody at a shell, and the sandbox that the shell's commands ask."""

    def __init__(self, served: Any, home: Path) -> None:
        self.served, self.home = served, home
        root = served.world.access.users[served.world.access.root]
        self.env = as_user(home, {"uid": root.uid, "api_key": root.api_key, "url": served.url})

    async def does(self, *words: str, code: int = 0) -> Any:
        done = await asyncio.to_thread(limegrove, *words, "--output", "json", env=self.env)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    async def plans(self, value: str) -> int:
        (self.home / "base.yaml").write_text(FP.format(value))
        await self.does("template", "import", str(self.home / "base.yaml"), "--root", str(self.home))
        words = ("--wave", "2", "--wave", "12", "--wave", "rest")
        return int((await self.does("rollout", "plan", *words, code=4))["plan"])

    async def starts(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "console", "rollout", *words, "--yes", "--output", "json", cwd=ROOT,
            env=self.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    def writes(self) -> Counter[str]:
        return Counter(
            entry.oid
            for entry in self.served.log.entries
            if entry.effect and entry.method == "POST" and entry.template == RECORD
        )

    async def wrote(self, number: int) -> None:
        async with asyncio.timeout(60):
            while sum(self.writes().values()) < number:
                await asyncio.sleep(0.005)


async def test_a_connection_that_drops_in_the_middle_of_a_wave_loses_nothing(tmp_path: Path) -> None:
    async with sandbox(orgs=24, detections=0, latency=20) as served:
        operator = Operator(served, tmp_path)
        await operator.does("sync", "--only", "orgs,config", code=3)
        oids = [one.oid for one in served.world.organizations]
        tree = "- {id: root, parent: null, name: All}\n" + "".join(
            f"- {{id: o{n}, parent: root, name: O{n}, oid: {oid}}}\n" for n, oid in enumerate(oids)
        )
        (tmp_path / "tree.yaml").write_text(tree)
        await operator.does("tree", "import", str(tmp_path / "tree.yaml"))
        (tmp_path / "base.yaml").write_text(FP.format("first"))
        await operator.does("template", "import", str(tmp_path / "base.yaml"), "--root", str(tmp_path))
        await operator.does("template", "assign", "base", "root")

        plan = await operator.plans("first")
        process = await operator.starts("apply", str(plan))
        await operator.wrote(6)
        process.send_signal(signal.SIGHUP)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 129, err
        said = json.loads(out)
        assert said["state"] == "running"
        assert f"rollout resume {plan}" in said["halted"]
        status = await operator.does("rollout", "status", str(plan))
        outcomes = Counter(step["outcome"] for step in status["steps"])
        # Every step that was begun was finished, in the second wave of three.
        assert outcomes.keys() == {"applied", "waiting"}
        assert outcomes["applied"] == sum(operator.writes().values())
        assert [wave["state"] for wave in status["waves"]] == ["done", "running", "waiting"]
        store = Store(f"sqlite:///{next((tmp_path / 'limegrove').glob('**/*.db'))}")
        try:
            (sentence,) = rollouts.left_off(store, now_ms())
            assert f"Rollout {plan} (Rollout) was cut off in wave 2 of 3" in sentence
        finally:
            store.close()
        found = await operator.does("rollout", "resume", str(plan), "--yes")
        assert (found["state"], found["applied"]) == ("done", 23)
        assert set(operator.writes().values()) == {1}
        await operator.does("rollout", "pause", str(plan), code=5)

        # And the machine goes away, again and again.
        served.log.clear()
        plan = await operator.plans("second")
        for verb, number in (("apply", 3), ("resume", 9), ("resume", 17)):
            process = await operator.starts(verb, str(plan))
            await operator.wrote(number)
            process.kill()
            await process.communicate()
            assert process.returncode == -signal.SIGKILL
        found = await operator.does("rollout", "resume", str(plan), "--yes")
        assert (found["state"], found["applied"]) == ("done", 23)
        assert set(operator.writes().values()) == {1}
        assert len(operator.writes()) == 23
