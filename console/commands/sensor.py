"""`limegrove sensor`: one machine's card, cutting it off and letting it back, its tags."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.limacharlie.client import Cloud
    from store.queries.sensors import SensorCard, SensorRow


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `sensor`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def one(name: str, says: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=says)
        verb.add_argument("sensor", metavar="SENSOR", help="its id or its host name")
        verb.add_argument(
            "--org", dest="organization", metavar="OID|NAME", help="where several have such a host"
        )
        return verb

    listing = verbs.add_parser("list", help="the sensors of an organization, as the store has them")
    listing.add_argument("organization", metavar="OID|NAME")
    one("show", "the card: online, platform, tags, addresses, isolation, its open alerts")
    for name, says in (
        ("isolate", "cut it off the network but for LimaCharlie"),
        ("rejoin", "let it back to the network"),
    ):
        verb = one(name, says)
        verb.add_argument(
            "--confirm",
            metavar="NAME",
            action="append",
            default=[],
            help="the host's name; given again, the name or oid of a protected organization",
        )
        verb.add_argument("--reason", metavar="TEXT", default="", help="why, for the journal")
    tag = one("tag", "add a tag")
    tag.add_argument("tag", metavar="TAG")
    tag.add_argument("--ttl", metavar="DURATION", help="it goes by itself after this, such as 12h or 7d")
    one("untag", "take a tag away").add_argument("tag", metavar="TAG")


def run(session: Session) -> int:
    """Show a sensor, or do something to it."""
    verb: str = session.arguments.verb
    if verb == "list":
        return _list(session)
    if verb == "show":
        return _show(session)
    session.refuse_read_only(f"sensor {verb}")
    return _order(session) if verb in ("isolate", "rejoin") else _tag(session)


def _list(session: Session) -> int:
    from store.queries.sensors import sensors_of

    oid = session.organization(session.arguments.organization)
    with session.reader.reading() as connection:
        rows = sensors_of(connection, oid)
    session.show_rows(
        [listed(row) for row in rows],
        columns=("hostname", "platform", "alive", "isolated", "tags", "sid"),
        footer=f"{len(rows)} sensors",
    )
    return 0


def listed(row: "SensorRow") -> dict[str, Any]:
    """One sensor as `sensor list` prints it; times RFC 3339 in UTC."""
    from store.times import rfc3339

    return {
        "sid": row.sid,
        "oid": row.oid,
        "organization": row.organization,
        "hostname": row.hostname,
        "platform": row.platform,
        "alive": rfc3339(row.alive),
        "isolated": row.isolated,
        "tags": list(row.tags),
    }


def _found(session: Session) -> tuple[str, str]:
    """(oid, sid) of the sensor that was named.

    Raises:
        Problem: there is none, or several; exit code 2.
    """
    from store.queries.sensors import find_sensors

    given = session.arguments
    oid = session.organization(given.organization) if given.organization else None
    oids = session.scope_oids() if oid is None else [oid]
    with session.reader.reading() as connection:
        found = find_sensors(connection, given.sensor, oids=oids)
    if len(found) == 1:
        return found[0].oid, str(found[0].sid)
    if not found:
        # One that was enrolled since the last sync is known to the cloud alone.
        if oid is not None and _is_id(given.sensor):
            return oid, given.sensor.strip().lower()
        raise Problem(
            f"There is no sensor {shown(given.sensor)} in the store; `limegrove sensor list ORGANIZATION` "
            "names them, and with --org an id does that the store does not know yet.",
            code=2,
        )
    named = ", ".join(f"{safe(row.organization)} ({row.sid})" for row in found[:5])
    more = f", and {len(found) - 5} more" if len(found) > 5 else ""
    raise Problem(
        f"{len(found)} sensors are called {shown(given.sensor)}: {named}{more}. Give the id, or --org.",
        code=2,
    )


def _is_id(word: str) -> bool:
    import uuid

    try:
        uuid.UUID(word.strip())
    except ValueError:
        return False
    return True


def _show(session: Session) -> int:
    from console.limacharlie.errors import Gone
    from console.operations.respond import card

    oid, sid = _found(session)

    async def live() -> "SensorCard":
        async with session.cloud() as cloud:
            store = None if session.settings.read_only else session.store()
            return await card(oid, sid, reader=session.reader, cloud=cloud, store=store)

    async def kept() -> "SensorCard":
        return await card(oid, sid, reader=session.reader, cloud=None, why="The session is offline.")

    try:
        found = session.run(kept() if session.settings.offline else live())
    except Gone as error:
        raise Problem(str(error), code=2) from error
    session.show_object(carded(found))
    if found.trouble:
        session.say(f"As the store had it: {found.trouble}")
    return 0


def carded(found: "SensorCard") -> dict[str, Any]:
    """A card as `sensor show` prints it.

    `online` is None where only the store was asked; `as_of` is when what is here was read from the cloud.
    """
    from console.commands.alert import listed as alert
    from store.times import rfc3339

    return {
        "sid": found.sid,
        "oid": found.oid,
        "organization": found.organization,
        "path": found.path,
        "protected": found.protected,
        "hostname": found.hostname,
        "platform": found.platform,
        "architecture": found.architecture,
        "online": found.online,
        "as_of": rfc3339(found.as_of),
        "live": found.live,
        "last_seen": rfc3339(found.alive),
        "enrolled": rfc3339(found.enrolled),
        "internal_ip": found.internal_ip,
        "external_ip": found.external_ip,
        "isolation": {"wanted": found.wanted, "confirmed": found.isolated},
        "sealed": found.sealed,
        "tags": [{"tag": tag.name, "by": tag.by, "at": rfc3339(tag.at)} for tag in found.tags],
        "open_alerts": found.open_alerts,
        "alerts": [alert(row) for row in found.alerts],
    }


def _order(session: Session) -> int:
    from console.operations.respond import isolate

    given = session.arguments
    oid, sid = _found(session)
    wanted = given.verb == "isolate"

    async def do(cloud: "Cloud") -> Any:
        from console.operations.respond import card

        names = list(given.confirm)
        if not names:
            before = await card(oid, sid, reader=session.reader, cloud=cloud)
            names = _typed(session, before, wanted)
        return await isolate(
            oid,
            sid,
            store=session.store(),
            cloud=cloud,
            typed=names[0],
            organization=names[1] if len(names) > 1 else "",
            isolate=wanted,
            reason=given.reason,
        )

    done = _carried_out(session, do)
    session.show_object({"outcome": done.outcome, "said": done.sentence, **carded(done.card)})
    session.say(done.sentence)
    return 1 if done.outcome == "unknown" else 0


def _typed(session: Session, card: "SensorCard", wanted: bool) -> list[str]:
    """Let the operator type the host's name, and that of a protected organization (ids do as well).

    Raises:
        Problem: nobody is there to type; exit code 5.
    """
    session.clear_progress()
    host, organization = safe(card.hostname or card.sid), safe(card.organization)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        also = " and again with the organization's name, which is protected" if card.protected else ""
        raise Problem(
            f"`sensor {'isolate' if wanted else 'rejoin'}` wants the host's name typed: "
            f"--confirm NAME{also}. Nothing was sent.",
            code=5,
        )
    does = "is cut off the network but for LimaCharlie" if wanted else "is let back to the network"
    print(f"{host} of {organization} {does}.", file=sys.stderr)
    names = [_line(f"Type the host's name ({host}): ")]
    if card.protected:
        names.append(_line(f"{organization} is protected; type its name: "))
    return names


def _line(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _tag(session: Session) -> int:
    from console.operations.respond import tag

    given = session.arguments
    oid, sid = _found(session)
    seconds = 0
    if getattr(given, "ttl", None):
        from store.times import parse_duration

        try:
            seconds = parse_duration(given.ttl)
        except ValueError as error:
            raise Problem(f"--ttl {shown(given.ttl)}: {error}", code=2) from error

    async def do(cloud: "Cloud") -> Any:
        return await tag(
            oid,
            sid,
            given.tag,
            store=session.store(),
            cloud=cloud,
            ttl=seconds,
            remove=given.verb == "untag",
        )

    done = _carried_out(session, do)
    session.show_object({"outcome": done.outcome, "said": done.sentence, **carded(done.card)})
    session.say(done.sentence)
    return 1 if done.outcome == "unknown" else 0


def _carried_out(session: Session, do: "Callable[[Cloud], Awaitable[Any]]") -> Any:
    """What came of a write.

    Raises:
        Problem: it was refused (exit code 5), or there is no such sensor (2).
    """
    from console.limacharlie.errors import Denied, Gone
    from console.operations.respond import Refused

    async def connected() -> Any:
        async with session.cloud() as cloud:
            return await do(cloud)

    try:
        return session.run(connected())
    except (Refused, Denied) as error:
        raise Problem(str(error), code=5) from error
    except Gone as error:
        raise Problem(str(error), code=2) from error
