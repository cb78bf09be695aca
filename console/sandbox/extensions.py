"""What extensions do when asked (`POST extension/request/{name}`): a table that their modules fill."""

from collections.abc import Callable
from typing import Any

from console.sandbox.calls import Call
from console.sandbox.organizations import Organization

Action = Callable[[Call, Organization, dict[str, Any]], object]
"""Takes the request, the organization, and the request's data; answers with the envelope's `data`. Raises
`Refusal` for what goes wrong: errors of extensions come as statuses other than 200 (official client,
sdk/extensions.py)."""

actions: dict[tuple[str, str], Action] = {}
"""By the names of the extension and of the action."""


def action(extension: str, name: str) -> Callable[[Action], Action]:
    """Declare what an extension does when it is asked for an action."""

    def declare(handler: Action) -> Action:
        actions[extension, name] = handler
        return handler

    return declare
