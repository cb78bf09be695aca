"""The gate behind a wave: whether the organizations that were changed are as well as they were before.

Each check says `pass`, `fail` or `inconclusive`; one that fails fails the gate, and what nobody can tell is
never taken for good. What is compared is read from the cloud, before the wave and after it:

- read back: every record is as it was wanted (the rollout itself has looked);
- errors: no organization reports an error that it did not report before (`GET errors/{oid}`);
- sensors: not more than a part of those that were online have gone (`GET online/{oid}`);
- detections: the rules that were touched make no more alerts than their own past bears out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from console.limacharlie.errors import LimaCharlieError
from console.operations.rollouts import GOOD, Options, Verdict
from store.rollouts import keeping
from store.rollouts.keeping import Plan

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud, OrganizationHandle
    from store.database import Store

Answer = TypeVar("Answer")

AT_ONCE: Final = 16
PAGES: Final = 20
"""Of detections, that are read of an organization."""
RULES: Final = ("hive/dr-general", "hive/dr-managed")
DAY: Final = 86_400


@dataclass(frozen=True)
class Bounds:
    """How much worse it may become."""

    failed_steps: int = 0
    """Steps of a wave that may fail."""
    sensors_lost: float = 0.2
    """Part of the sensors online before a wave that may be gone after it."""
    sensors_few: int = 5
    """So many may always be gone: a few machines go to sleep at any time."""
    times: float = 3.0
    """How many times as many detections of a touched rule as its past has in the same time."""
    spare: int = 10
    """And so many beyond that."""
    soak: float = 0.0
    """Seconds to wait after a wave before its gate looks."""


class CloudGates:
    """Looks at organizations through the cloud."""

    def __init__(
        self,
        *,
        store: "Store",
        cloud: "Cloud",
        bounds: Bounds | None = None,
        clock: Callable[[], int],
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """Prepare.

        Args:
            clock: milliseconds, UTC.
            sleep: waits so many seconds.
        """
        self._store, self._cloud = store, cloud
        self._bounds = bounds or Bounds()
        self._clock, self._sleep = clock, sleep

    async def baseline(self, oids: list[str]) -> Mapping[str, Any]:
        """Errors and sensors of each organization; None for what could not be read."""
        errors = await self._each(oids, _errors)
        online = await self._each(oids, _online)
        return {"errors": errors, "online": online, "at": self._clock()}

    async def verdict(self, plan: Plan, number: int, baseline: Mapping[str, Any]) -> Verdict:
        """What the wave came to, check by check."""
        asked = Options.of(plan)
        soak = max(self._bounds.soak, float(asked.soak))
        if soak:
            await self._sleep(soak)
        steps = await asyncio.to_thread(self._steps, plan.id, number)
        oids = list(dict.fromkeys(each.change.oid for each in steps))
        checks = {
            "read back": self._read_back(steps, max(self._bounds.failed_steps, asked.budget)),
            "errors": self._compared_errors(baseline.get("errors", {}), await self._each(oids, _errors)),
            "sensors": self._compared_sensors(baseline.get("online", {}), await self._each(oids, _online)),
            "detections": await self._detections(steps, baseline),
        }
        words = [word for word, _ in checks.values()]
        worst = next((word for word in ("fail", "inconclusive") if word in words), "pass")
        said = "; ".join(text for word, text in checks.values() if word == worst) or "as before"
        return Verdict(
            worst, said, {name: {"verdict": word, "said": text} for name, (word, text) in checks.items()}
        )

    def _steps(self, plan_id: int, number: int) -> list[keeping.Step]:
        with self._store.reader.reading() as c:
            return list(keeping.steps(c, plan_id, wave=number))

    def _read_back(self, steps: list[keeping.Step], budget: int) -> tuple[str, str]:
        bad = [each for each in steps if each.outcome not in GOOD]
        if len(bad) > budget:
            first = bad[0]
            return "fail", (
                f"{len(bad)} of {len(steps)} records are not as wanted "
                f"({first.change.what}: {first.error or first.outcome})"
            )
        failed = f", {len(bad)} failed and {budget} may" if bad else ""
        return "pass", f"{len(steps) - len(bad)} records are as wanted{failed}"

    def _compared_errors(
        self, before: Mapping[str, list[str] | None], after: Mapping[str, list[str] | None]
    ) -> tuple[str, str]:
        new = {
            oid: sorted(set(found) - set(before.get(oid) or ()))
            for oid, found in after.items()
            if found is not None and before.get(oid) is not None
        }
        bad = {oid: found for oid, found in new.items() if found}
        if bad:
            oid, found = next(iter(bad.items()))
            return "fail", f"{len(bad)} organizations report new errors ({oid}: {found[0]})"
        blind = [oid for oid, found in after.items() if found is None or before.get(oid) is None]
        if blind:
            return "inconclusive", f"the errors of {len(blind)} organizations cannot be read"
        return "pass", "no new errors"

    def _compared_sensors(
        self, before: Mapping[str, int | None], after: Mapping[str, int | None]
    ) -> tuple[str, str]:
        lost = 0
        blind = 0
        for oid, now in after.items():
            then = before.get(oid)
            if then is None or now is None:
                blind += 1
            elif then - now > max(self._bounds.sensors_few, self._bounds.sensors_lost * then):
                lost += 1
        if lost:
            return "fail", f"sensors of {lost} organizations went offline"
        if blind:
            return "inconclusive", f"the sensors of {blind} organizations cannot be counted"
        return "pass", "sensors as before"

    async def _detections(self, steps: list[keeping.Step], baseline: Mapping[str, Any]) -> tuple[str, str]:
        """The touched rules' detections since the wave began, against a week of their own."""
        touched: dict[str, set[str]] = {}
        for each in steps:
            if each.change.section in RULES and each.change.after is not None and each.outcome in GOOD:
                touched.setdefault(each.change.oid, set()).add(each.change.name)
        if not touched:
            return "pass", "no rule was touched"
        since = int(baseline.get("at", self._clock())) // 1000
        now = self._clock() // 1000
        noisy, blind = [], 0
        oids = list(touched)
        lately = await self._each(oids, lambda handle: _counts(handle, touched[handle.oid], since, now + 1))
        before = await self._each(
            oids, lambda handle: _counts(handle, touched[handle.oid], since - 7 * DAY, since)
        )
        for oid, rules in touched.items():
            counted, past = lately[oid], before[oid]
            if counted is None or past is None:
                blind += 1
                continue
            share = max(now - since, 1) / (7 * DAY)
            bounds = {
                rule: self._bounds.times * past.found.get(rule, 0) * share + self._bounds.spare
                for rule in sorted(rules)
            }
            loud = [
                (oid, rule, counted.found[rule])
                for rule in bounds
                if counted.found.get(rule, 0) > bounds[rule]
            ]
            noisy += loud
            # What was not read to its end may be louder, now or before.
            blind += not loud and not (counted.whole and past.whole)
        if noisy:
            oid, rule, number = noisy[0]
            return "fail", f"{rule} made {number} detections in {oid} since the wave began"
        if blind:
            return "inconclusive", f"the detections of {blind} organizations cannot be read"
        return "pass", "the touched rules are as quiet as before"

    async def _each(
        self, oids: list[str], ask: "Callable[[OrganizationHandle], Awaitable[Answer]]"
    ) -> dict[str, Answer | None]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(oid: str) -> tuple[str, Answer | None]:
            async with limit:
                try:
                    return oid, await ask(self._cloud.organization(oid))
                except LimaCharlieError:
                    return oid, None

        return dict(await asyncio.gather(*map(one, oids)))


async def _errors(handle: "OrganizationHandle") -> list[str]:
    return sorted(str(each.get("component", "")) for each in await handle.errors())


async def _online(handle: "OrganizationHandle") -> int:
    return await handle.online()


@dataclass(frozen=True)
class _Counted:
    """Detections by rule."""

    found: Mapping[str, int]
    whole: bool
    """Whether all of them were read."""


async def _counts(handle: "OrganizationHandle", rules: set[str], start: int, end: int) -> _Counted:
    found: dict[str, int] = {}
    cursor = "-"
    for _ in range(PAGES):
        page = await handle.detections(start, end, cursor)
        for raw in page.records:
            name = _rule(raw)
            if name in rules:
                found[name] = found.get(name, 0) + 1
        if not page.next_cursor:
            return _Counted(found, whole=True)
        cursor = page.next_cursor
    return _Counted(found, whole=False)


def _rule(raw: bytes) -> str:
    """The rule that made a detection: `source_rule` is `general.NAME`."""
    import msgspec

    try:
        source = msgspec.json.decode(raw).get("source_rule", "")
    except (msgspec.DecodeError, AttributeError):
        return ""
    return str(source).partition(".")[2]
