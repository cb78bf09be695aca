"""What is done to many organizations alike."""

from console.operations.runsteps import Seen, Verb, Work
from store.runs import PlannedStep, RunStep


class Subscribe(Verb):
    """Subscribe to an extension."""

    name = "extension.subscribe"
    stale = {"configuration": ("extension",)}  # noqa: RUF012

    async def check(self, work: Work) -> Seen:
        """Whether it is subscribed to."""
        there = work.target in await work.once("extensions", work.handle.subscriptions)
        return Seen(fulfilled=there, fact={"subscribed": there})

    async def send(self, work: Work) -> None:
        """Subscribe."""
        await work.handle.subscribe_extension(work.target)

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Unsubscribe again."""
        return PlannedStep("extension.unsubscribe", step.target)


VERBS = (Subscribe(),)
