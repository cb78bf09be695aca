"""Extensions: subscriptions and requests."""

from typing import Any

from console.limacharlie import answers
from console.limacharlie.errors import Protocol
from console.limacharlie.handle import Part


class Extensions(Part):
    """The extensions of an organization."""

    async def subscriptions(self) -> dict[str, Any]:
        """The extensions it is subscribed to, by name (`GET orgs/{oid}/subscriptions`)."""
        answer = await self._get("orgs/{oid}/subscriptions")
        held = answers.mapping(answer.json(), answer.what)
        if isinstance(held.get("error"), str):
            raise Protocol(
                f"{answer.what} was answered with an error as a success: {answer.excerpt(held['error'])}."
            )
        return held
