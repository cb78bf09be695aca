"""What the staff wrote down about customers before the demo began: one file, as they would import it.

Of gold customers everything is known, of silver ones most, of bronze ones little or nothing: as it is.
"""

from typing import Any

from console.sandbox.chance import Chance
from console.sandbox.organizations import Organization
from console.sandbox.world import World

_PLACES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "americas": (
        ("America/New_York", "US-NY", "+1 212 555 01"),
        ("America/Chicago", "US-IL", "+1 312 555 01"),
    ),
    "europe": (("Europe/Berlin", "DE-BE", "+49 30 55501"), ("Europe/Paris", "FR", "+33 1 555 501")),
    "apac": (("Asia/Kolkata", "IN", "+91 22 555501"), ("Australia/Sydney", "AU-NSW", "+61 2 5550 01")),
}
"""Region -> time zone, country, and what a made-up number begins with."""
_ROLES = ("IT lead", "CISO", "Head of operations")
_WINDOWS = ("Sun 02:00-04:00", "last Sat 22:00-06:00", "2nd Tue 20:00-23:00", "Wed 21:00-23:00")
_NOTES = (
    "Their mail gateway rewrites links: a redirect is no finding by itself.",
    "The backup account logs on everywhere at 01:00.\nDomain controllers are patched by a contractor.",
    "Isolate nothing on the shop floor without a call.",
    "Travels a lot: ask before revoking sessions.",
)
_PROCEDURES = (
    (
        "PowerShell from mail",
        "Call the first contact.\nIsolate when it reached out.\nReset the user's password.",
    ),
    ("Scanner on a server", "Ask whether a test is on.\nIsolate when nobody knows of one."),
    ("Sign-in from abroad", "Ask the user's manager.\nRevoke sessions.\nLook for inbox rules."),
)


def documentations(world: World) -> list[dict[str, Any]]:
    """The file, of those of whom anything was written down."""
    listed = []
    for organization in world.by_oid.values():
        told = _document(world, organization)
        if told:
            listed.append({"oid": organization.oid, "organization": organization.name, **told})
    return listed


def _document(world: World, organization: Organization) -> dict[str, Any]:
    chance = Chance(world.seed, "documents", organization.index)
    tier = organization.tier
    if organization.blank or (tier == "bronze" and chance.below(3)):
        return {}
    places = _PLACES.get(organization.region) or next(iter(_PLACES.values()))
    zone, country, number = chance.pick(places)
    people = [
        {
            "name": " ".join(part.capitalize() for part in email.partition("@")[0].split(".")),
            "role": _ROLES[place],
            "phone": f"{number}{chance.below(90) + 10}",
            "mail": email,
        }
        for place, (email, _) in enumerate(world.access.contacts(organization))
    ]
    people[0]["note"] = "phone first"
    told: dict[str, Any] = {"time_zone": zone, "contacts": people}
    if tier == "bronze":
        return told
    told["service_hours"] = (
        "24x7" if tier == "gold" else {"Mon-Fri": chance.pick(("08:00-18:00", "07:00-20:00"))}
    )
    if tier == "silver":
        told["around_the_clock"] = ["critical"]
        told["holidays"] = {"country": country, "closed": ["12-24", "12-31"]}
    if tier == "gold" or chance.below(3):
        told["escalation"] = [
            {"after": "0m", "who": people[0]["name"]},
            {
                "after": "30m",
                "who": people[-1]["name"] if len(people) > 1 else "IT on call",
                "how": people[-1]["phone"],
            },
        ]
        told["maintenance"] = (
            [{"title": "Patches", "when": chance.pick(_WINDOWS)}] if chance.below(4) else "none"
        )
    if tier == "gold" or not chance.below(3):
        told["sops"] = [{"title": title, "text": text} for title, text in _PROCEDURES[: 1 + chance.below(3)]]
    if chance.below(2):
        told["notes"] = chance.pick(_NOTES)
    return told
