"""Extensions: subscriptions and requests."""

from typing import Any

from console.limacharlie import answers
from console.limacharlie.errors import Protocol
from console.limacharlie.handle import Done, Part, done


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
        if any(isinstance(each, str) for each in held.values()):
            answers.refuse(answer.what, "holds words where extensions should be")
        return held

    async def extension_definitions(self) -> list[dict[str, Any]]:
        """The extensions that exist (`GET extension/definition`): objects with a `name`, as received."""
        answer = await self._get("extension/definition")
        held = answer.json()
        if isinstance(held, dict):
            # One official client also takes an object by name.
            held = [
                {"name": name, **answers.mapping(each, answer.what)}
                for name, each in answers.filled(held, answer.what).items()
            ]
        rows = answers.mappings(held, answer.what, "the answer")
        for row in rows:
            answers.text(answers.member(row, "name", answer.what), answer.what, "name")
        return rows

    async def extension_definition(self, name: str) -> dict[str, Any]:
        """One extension (`GET extension/definition/{name}`), as received.

        Raises:
            Gone: there is none of this name.
        """
        answer = await self._get("extension/definition/{name}", name=name)
        held = answers.mapping(answer.json(), answer.what)
        if answers.member(held, "name", answer.what) != name:
            answers.refuse(answer.what, "is another extension")
        return held

    async def extension_schema(self, name: str) -> dict[str, Any]:
        """The schemas of its configuration and its requests (`GET extension/schema/{name}`), as received."""
        answer = await self._get("extension/schema/{name}", {"oid": self.oid}, name=name)
        return answers.filled(answer.json(), answer.what)

    async def subscribe_extension(self, name: str) -> Done:
        """Subscribe to an extension (`POST orgs/{oid}/subscription/extension/{name}`).

        Raises:
            Denied: `ext.sub` is missing.
            Gone: there is no such extension.
        """
        return await self._write("POST", "orgs/{oid}/subscription/extension/{name}", done, form=[], name=name)

    async def unsubscribe_extension(self, name: str) -> Done:
        """Unsubscribe (`DELETE orgs/{oid}/subscription/extension/{name}`).

        What the extension keeps may go with it: of `ext-cases` all cases.
        """
        return await self._write(
            "DELETE", "orgs/{oid}/subscription/extension/{name}", done, form=[], name=name
        )

    async def rekey_extension(self, name: str) -> Done:
        """Give an extension a new key of its own (`PATCH orgs/{oid}/subscription/extension/{name}`)."""
        return await self._write(
            "PATCH", "orgs/{oid}/subscription/extension/{name}", done, form=[], name=name
        )

    async def request_extension(
        self, name: str, action: str, data: dict[str, Any], *, impersonated: bool = False
    ) -> Any:
        """Let an extension do something (`POST extension/request/{name}`).

        It is taken for a change, and sent once.

        Args:
            impersonated: lend it our token, so that it acts with our permissions: what leaves here is
                good for all that this key may do in the organization.

        Returns:
            `data` of its answer, whatever that is.

        Raises:
            Invalid: the extension refused, with its own words.
            Ambiguous: the outcome is unknown.
        """
        return await self._ask(name, action, data, _anything, safe=False, impersonated=impersonated)


def _anything(value: Any, what: str) -> Any:
    return value
