"""A plan whose rules were run over the past: over an outlier no wave begins, in that organization's wave."""

import pytest

from console.operations import backtest
from console.operations.backtest import Stale, jobs_of_plan, kept, outliers
from store.rollouts import backtests, keeping
from tests.console.operations.test_rollouts import FP, KEY, NOW, staged

NOISY = (
    "version: 3\nhives:\n  dr-general:\n    loud:\n      data:\n"
    "        detect: {event: NEW_PROCESS, op: contains, path: event/FILE_PATH, value: chrome}\n"
    "        respond: [{action: report, name: loud}]\n      usr_mtd: {enabled: true}\n"
    "    asleep:\n      data: {detect: {event: NEW_PROCESS, op: exists, path: event/a}, respond: []}\n"
    "      usr_mtd: {enabled: false}\n"
)


def jobs(stage, plan_id):
    with stage.store.reader.reading() as c:
        return jobs_of_plan(c, plan_id, key=KEY, now=NOW)


async def past(stage, plan_id, *, many, few=10):
    """Run it over a day and keep what came of it."""
    asked, _ = jobs(stage, plan_id)
    start = stage.served.world.clock() // 1000 - backtest.DAY
    found = await backtest.run(stage.cloud, asked, start, 1)
    quotes = await backtest.estimate(stage.cloud, asked, start, start + backtest.DAY)
    came = kept(quotes, found, outliers(found, many=many, few=few), jobs=asked, days=1, now=NOW)
    with stage.store.writing() as c:
        backtests.keep(c, plan_id, came)
    return came


def waves(stage, plan_id):
    with stage.store.reader.reading() as c:
        return keeping.planned_waves(c, plan_id)


async def test_what_is_asked_is_every_enabled_rule_that_the_plan_brings(tmp_path):
    async with staged(tmp_path, orgs=2) as stage:
        stage.template(NOISY)
        asked, unable = jobs(stage, stage.plan("rest"))
        assert [(job.oid, [rule.name for rule in job.rules]) for job in asked] == [
            (oid, ["dr-general/loud"]) for oid in stage.oids
        ]
        assert unable == []
        stage.template(NOISY.replace("loud", "other"))
        with pytest.raises(Stale):
            jobs(stage, 1)


async def test_over_an_outlier_no_wave_begins_until_the_backtest_says_otherwise(tmp_path):
    async with staged(tmp_path, orgs=2) as stage:
        stage.template(NOISY)
        plan_id = stage.plan("1", "rest")
        came = await past(stage, plan_id, many=1)
        assert {each.oid for each in came.outliers} == set(stage.oids)
        outcome = await stage.apply(plan_id)
        assert outcome.state == "halted"
        assert "dr-general/loud would have made" in outcome.halted
        assert "(more than 1 alerts a day)" in outcome.halted
        first, second = waves(stage, plan_id)
        assert (first.state, first.gate["checks"]["backtest"]["verdict"]) == ("failed", "fail")
        assert second.state == "waiting"
        sent = [
            each for each in stage.served.log.entries if each.method == "POST" and "/hive/" in each.template
        ]
        assert sent == []
        # Nobody can take it for good by a word alone.
        assert (await stage.apply(plan_id, accept=True)).state == "halted"
        await past(stage, plan_id, many=1_000_000, few=1_000_000)
        assert (await stage.apply(plan_id)).state == "done"


async def test_an_outlier_holds_up_the_wave_that_it_is_in_and_not_the_one_before(tmp_path):
    async with staged(tmp_path, orgs=2) as stage:
        stage.template(NOISY)
        plan_id = stage.plan("1", "rest")
        with stage.store.reader.reading() as c:
            (last,) = {each.change.oid for each in keeping.steps(c, plan_id, wave=2)}
        odd = backtests.Found(last, "Acme", "dr-general/loud", "more than 50 alerts a day", 80.0)
        with stage.store.writing() as c:
            backtests.keep(c, plan_id, backtests.Kept(NOW, 7, 2, (odd,), ()))
        outcome = await stage.apply(plan_id)
        assert (outcome.state, outcome.applied) == ("halted", 1)
        assert "80.0 alerts a day in Acme" in outcome.halted
        assert [each.state for each in waves(stage, plan_id)] == ["done", "failed"]


async def test_a_rule_that_could_not_be_run_pauses_until_a_person_takes_it_for_good(tmp_path):
    async with staged(tmp_path, orgs=1) as stage:
        stage.template(NOISY)
        plan_id = stage.plan("rest")
        blind = backtests.Found(stage.oids[0], "Acme", "dr-general/loud", "replay did not answer")
        with stage.store.writing() as c:
            backtests.keep(c, plan_id, backtests.Kept(NOW, 7, 1, (), (blind,)))
        outcome = await stage.apply(plan_id)
        assert outcome.state == "paused"
        assert "replay did not answer" in outcome.halted
        assert (await stage.apply(plan_id)).state == "paused"
        assert (await stage.apply(plan_id, accept=True)).state == "done"


async def test_what_is_odd_elsewhere_or_about_another_rule_holds_nothing_up(tmp_path):
    async with staged(tmp_path, orgs=1) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan("rest")
        odd = backtests.Found(stage.oids[0], "Acme", "dr-general/loud", "more than 50", 80.0)
        with stage.store.writing() as c:
            backtests.keep(c, plan_id, backtests.Kept(NOW, 7, 1, (odd,), ()))
        assert (await stage.apply(plan_id)).state == "done"
