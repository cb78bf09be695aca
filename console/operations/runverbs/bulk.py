"""What is done to many organizations alike: sensors' tags, quotas, extensions, users, keys, outputs."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy import Connection, update

from console.operations.runsteps import Seen, StepFailed, Verb, Work
from store import models
from store.permissions import roles
from store.rollouts.compare import listed_tags, normalised
from store.runs import PlannedStep, RunStep

_STALE_RECORDS = {"configuration": ("*",)}
_STALE_ACCESS = {"access": ("*",)}

# Sensors


class Tag(Verb):
    """Add a tag to a sensor."""

    name = "sensor.tag"
    together = True
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"sensors": ("*",)}

    async def check(self, work: Work) -> Seen:
        """Whether the sensor has it: of all that have it in one reading."""
        there = work.target in await _tagged(work)
        return Seen(fulfilled=there, fact={"tagged": there})

    async def send(self, work: Work) -> None:
        """Tag it."""
        await work.handle.tag_sensor(work.target, work.arguments["tag"], work.arguments.get("ttl", 0))

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Take it away again."""
        return PlannedStep("sensor.untag", step.target, _without_ttl(step.arguments), step.needed)


class Untag(Verb):
    """Take a tag from a sensor."""

    name = "sensor.untag"
    together = True
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"sensors": ("*",)}

    async def check(self, work: Work) -> Seen:
        """Whether the sensor lacks it."""
        there = work.target in await _tagged(work)
        return Seen(fulfilled=not there, fact={"tagged": there})

    async def send(self, work: Work) -> None:
        """Take it away."""
        await work.handle.untag_sensor(work.target, work.arguments["tag"])

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Put it back, for good: when a tag would have ended by itself is not told by the API."""
        return PlannedStep("sensor.tag", step.target, _without_ttl(step.arguments), step.needed)


async def _tagged(work: Work) -> Mapping[str, list[str]]:
    tag = work.arguments["tag"]
    return await work.once(f"tag {tag}", lambda: work.handle.sensors_with_tag(tag))


def _without_ttl(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name != "ttl"}


# The organization itself


class Quota(Verb):
    """Set how many sensors an organization may have."""

    name = "quota.set"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"organization": ("*",)}

    async def check(self, work: Work) -> Seen:
        """What it is; `expect`, when given, is what it has to be before it is changed."""
        held = (await work.handle.record()).get("sensor_quota")
        wanted, expected = work.arguments["quota"], work.arguments.get("expect")
        conflict = ""
        if expected is not None and held != expected:
            conflict = f"The quota is {held} by now and not {expected}: somebody else set it."
        return Seen(fulfilled=held == wanted, fact={"quota": held}, conflict=conflict)

    async def send(self, work: Work) -> None:
        """Set it."""
        await work.handle.set_quota(work.arguments["quota"])

    def keep(self, c: Connection, work: Work) -> None:
        """The listing of the next sync says the same."""
        table = models.Organization.__table__  # type: ignore[attr-defined]
        c.execute(update(table).where(table.c.oid == work.oid).values(sensor_quota=work.arguments["quota"]))

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Set what was there, unless somebody changed it since."""
        held = (step.before or {}).get("quota")
        if not isinstance(held, int):
            return None
        arguments = {"quota": held, "expect": step.arguments["quota"]}
        return PlannedStep("quota.set", step.target, arguments, step.needed)


class Subscribe(Verb):
    """Subscribe to an extension."""

    name = "extension.subscribe"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_RECORDS

    async def check(self, work: Work) -> Seen:
        """Whether it is subscribed to."""
        there = work.target in await work.once("extensions", work.handle.subscriptions)
        return Seen(fulfilled=there, fact={"subscribed": there})

    async def send(self, work: Work) -> None:
        """Subscribe."""
        await work.handle.subscribe_extension(work.target)

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Unsubscribe again."""
        return PlannedStep("extension.unsubscribe", step.target, needed=step.needed)


class Unsubscribe(Verb):
    """Unsubscribe from an extension, which may lose what it keeps."""

    name = "extension.unsubscribe"
    loses_data = True
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_RECORDS

    async def check(self, work: Work) -> Seen:
        """Whether it is not subscribed to."""
        there = work.target in await work.once("extensions", work.handle.subscriptions)
        return Seen(fulfilled=not there, fact={"subscribed": there})

    async def send(self, work: Work) -> None:
        """Unsubscribe."""
        await work.handle.unsubscribe_extension(work.target)

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Subscribe again; what the extension kept stays gone."""
        return PlannedStep("extension.subscribe", step.target, needed=step.needed)


# Users and keys


async def _direct(work: Work) -> dict[str, set[str]]:
    """Who has what of his own, by e-mail in lower case."""
    answer = await work.once("users", work.handle.permissions)
    found = {email.casefold(): set(names) for email, names in answer["user_permissions"].items()}
    for user in answer.get("direct_users") or ():
        found.setdefault(str(user.get("email", "")).casefold(), set()).update(user.get("perms") or ())
    return found


class AddUser(Verb):
    """Add a user, with a role or without any permission."""

    name = "user.add"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_ACCESS

    async def check(self, work: Work) -> Seen:
        """Whether somebody is a user of it; with a role, whether there is anything at all granted to him.

        What a role holds is known for certain only from the answer that gives it, so whoever is there with
        permissions is left alone when he has others than the role is known for.
        """
        held = (await _direct(work)).get(work.target.casefold())
        role = work.arguments.get("role", "")
        fact = {"permissions": None if held is None else sorted(held)}
        if held is None or not role:
            return Seen(fulfilled=held is not None, fact=fact)
        if work.sent or held == set(roles().get(role, ())):
            return Seen(fulfilled=bool(held), fact=fact)
        conflict = "He is a user of it already, with other permissions; `role` replaces what somebody has."
        return Seen(fulfilled=False, fact=fact, conflict=conflict if held else "")

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Add him."""
        added = await work.handle.add_user(
            work.target, work.arguments.get("role", ""), invite=work.arguments.get("invite", False)
        )
        return {"invited": added.invited}

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Remove him again; whoever was there before without permissions is left with none by nobody."""
        if (step.before or {}).get("permissions") is not None:
            return None
        return PlannedStep("user.remove", step.target, needed=step.needed)


class RemoveUser(Verb):
    """Take a user's own access away; what groups give stays."""

    name = "user.remove"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_ACCESS

    async def check(self, work: Work) -> Seen:
        """Whether he is no user of it."""
        held = (await _direct(work)).get(work.target.casefold())
        return Seen(fulfilled=held is None, fact={"permissions": None if held is None else sorted(held)})

    async def send(self, work: Work) -> None:
        """Remove him."""
        await work.handle.remove_user(work.target)

    def undo(self, step: RunStep) -> tuple[PlannedStep, ...]:
        """Add him, and grant what he had."""
        held = (step.before or {}).get("permissions") or ()
        return (
            PlannedStep("user.add", step.target),
            *(PlannedStep("user.grant", step.target, {"permission": name}, needed=False) for name in held),
        )


class Grant(Verb):
    """Grant one permission directly."""

    name = "user.grant"
    together = True
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_ACCESS

    async def check(self, work: Work) -> Seen:
        """Whether it is granted."""
        held = (await _direct(work)).get(work.target.casefold())
        if held is None:
            return Seen(False, {"held": None}, f"{work.target} is no user of the organization.")
        there = work.arguments["permission"] in held
        return Seen(fulfilled=there, fact={"held": there})

    async def send(self, work: Work) -> None:
        """Grant it."""
        await work.handle.grant(work.target, work.arguments["permission"])

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Take it away again."""
        return PlannedStep("user.revoke", step.target, step.arguments, step.needed)


class Revoke(Verb):
    """Take away one permission that is granted directly."""

    name = "user.revoke"
    together = True
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_ACCESS

    async def check(self, work: Work) -> Seen:
        """Whether it is not granted."""
        there = work.arguments["permission"] in (await _direct(work)).get(work.target.casefold(), set())
        return Seen(fulfilled=not there, fact={"held": there})

    async def send(self, work: Work) -> None:
        """Take it away."""
        await work.handle.revoke(work.target, work.arguments["permission"])

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Grant it again."""
        return PlannedStep("user.grant", step.target, step.arguments, step.needed)


class Role(Verb):
    """Replace everything that is granted directly to a user by a role."""

    name = "user.role"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_ACCESS

    async def check(self, work: Work) -> Seen:
        """Whether he has exactly what the role holds, as the cloud said when it gave it, else as is known."""
        held = (await _direct(work)).get(work.target.casefold())
        if held is None:
            return Seen(False, {"permissions": None}, f"{work.target} is no user of the organization.")
        wanted = work.made.get("permissions") or roles().get(work.arguments["role"], ())
        fact = {"permissions": sorted(held)}
        # What he has is what an undo takes from him, though no answer to the change came.
        return Seen(fulfilled=held == set(wanted), fact=fact, made=fact)

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Give him the role."""
        given = await work.handle.set_role(work.target, work.arguments["role"])
        return {"permissions": sorted(given.permissions)}

    def undo(self, step: RunStep) -> tuple[PlannedStep, ...]:
        """Give what he had and lost, and take what he got."""
        had, has = set((step.before or {}).get("permissions") or ()), set(step.made.get("permissions") or ())
        steps = [("user.grant", name) for name in sorted(had - has)]
        steps += [("user.revoke", name) for name in sorted(has - had)]
        return tuple(
            PlannedStep(verb, step.target, {"permission": name}, needed=False) for verb, name in steps
        )


class RevokeKey(Verb):
    """Delete an API key; its tokens go on for up to an hour."""

    name = "key.revoke"
    together = True
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"keys": ("*",)}

    async def check(self, work: Work) -> Seen:
        """Whether no key has this hash."""
        key = (await work.once("keys", work.handle.keys)).get(work.target)
        fact = (
            {"held": False} if key is None else {"held": True, "permissions": sorted(key.get("priv") or ())}
        )
        return Seen(fulfilled=key is None, fact=fact)

    async def send(self, work: Work) -> None:
        """Delete it."""
        await work.handle.delete_key(work.target)


# Outputs and installation keys


class SetOutput(Verb):
    """Make an output; one that is called so and is another is left alone."""

    name = "output.set"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_RECORDS

    async def check(self, work: Work) -> Seen:
        """Whether there is exactly this output."""
        held = (await work.once("outputs", work.handle.outputs)).get(work.target)
        if held is None:
            return Seen(False, {"there": False})
        arguments = work.arguments
        wanted = {"module": arguments["module"], "for": arguments["stream"], **arguments.get("options", {})}
        same = normalised("output", work.target, held) == normalised("output", work.target, wanted)
        fact = {"there": True, "module": str(held.get("module", "")), "for": str(held.get("for", ""))}
        conflict = "" if same else "There is another output that is called so; it is left alone."
        return Seen(fulfilled=same, fact=fact, conflict=conflict)

    async def send(self, work: Work) -> None:
        """Make it."""
        arguments = work.arguments
        await work.handle.create_output(
            work.target, arguments["module"], arguments["stream"], arguments.get("options", {})
        )

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Remove it."""
        return PlannedStep("output.remove", step.target, needed=step.needed)


class RemoveOutput(Verb):
    """Remove an output. Nothing brings it back: what it is made of may be secret, and is not kept."""

    name = "output.remove"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_RECORDS

    async def check(self, work: Work) -> Seen:
        """Whether none is called so."""
        held = (await work.once("outputs", work.handle.outputs)).get(work.target)
        if held is None:
            return Seen(True, {"there": False})
        return Seen(
            False, {"there": True, "module": str(held.get("module", "")), "for": str(held.get("for", ""))}
        )

    async def send(self, work: Work) -> None:
        """Remove it."""
        await work.handle.delete_output(work.target)


async def _keys_called(work: Work) -> dict[str, dict[str, Any]]:
    """The installation keys with a description, or the one with the iid of the arguments."""
    keys = await work.once("installation keys", work.handle.installation_keys)
    iid = work.arguments.get("iid")
    if iid:
        return {iid: keys[iid]} if iid in keys else {}
    return {each: key for each, key in keys.items() if key.get("desc") == work.target}


class MakeInstallationKey(Verb):
    """Make an installation key, unless one is called so."""

    name = "installation-key.make"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_RECORDS

    async def check(self, work: Work) -> Seen:
        """Whether a key is called so and gives the same tags."""
        held = await _keys_called(work)
        wanted = sorted(work.arguments.get("tags", ()))
        same = [iid for iid, key in sorted(held.items()) if sorted(filter(None, listed_tags(key))) == wanted]
        fact = {"iids": sorted(held)}
        if same:
            return Seen(True, fact, made={"iid": same[0]})
        conflict = "There is another installation key that is called so, with other tags." if held else ""
        return Seen(False, fact, conflict)

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Make it."""
        return {
            "iid": await work.handle.create_installation_key(
                work.target,
                work.arguments.get("tags", ()),
                public_root_ca=work.arguments.get("public_root_ca", False),
            )
        }

    def undo(self, step: RunStep) -> PlannedStep | None:
        """Remove it, by its id."""
        iid = step.made.get("iid")
        if not iid:
            return None
        return PlannedStep("installation-key.remove", step.target, {"iid": iid}, step.needed)


class RemoveInstallationKey(Verb):
    """Remove an installation key: nothing enrolls with it any more, and a new one is another one."""

    name = "installation-key.remove"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = _STALE_RECORDS

    async def check(self, work: Work) -> Seen:
        """Whether none is called so, or none has the id that is given."""
        held = await _keys_called(work)
        conflict = ""
        if len(held) > 1:
            conflict = f"{len(held)} installation keys are called so; nobody can tell which one is meant."
        return Seen(fulfilled=not held, fact={"iids": sorted(held)}, conflict=conflict)

    async def send(self, work: Work) -> None:
        """Remove it."""
        held = await _keys_called(work)
        if len(held) != 1:
            raise StepFailed("The installation key is not there any more.")
        await work.handle.delete_installation_key(next(iter(held)))


VERBS: tuple[Verb, ...] = (
    Tag(), Untag(), Quota(), Subscribe(), Unsubscribe(), AddUser(), RemoveUser(), Grant(), Revoke(), Role(),
    RevokeKey(), SetOutput(), RemoveOutput(), MakeInstallationKey(), RemoveInstallationKey(),
)  # fmt: skip
