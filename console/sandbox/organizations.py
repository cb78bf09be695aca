"""The provider's customers: who they are, how large they are, where they stand in the tree."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Container, Iterable
from dataclasses import dataclass

from console.sandbox import names
from console.sandbox.chance import Chance, uuid_of

DAY = 86_400


@dataclass(slots=True, eq=False)  # hashed by identity: caches are keyed by it
class Organization:
    """One customer, or a part of one. Only name, description, quota and version are ever changed."""

    index: int
    oid: str
    name: str
    slug: str
    """ASCII, unique; host names and the tree's ids are made of it."""
    domain: str
    region: str
    site: str
    """`site_name` of the listing."""
    tier: str
    industry: str
    created: int
    """Seconds, UTC."""
    sensors: int
    quota: int
    detections: int
    """How many the past holds; live ones come on top."""
    parent: int | None
    """Index of the organization that this one is a part of."""
    netbios: str
    """The Windows domain."""
    blank: bool = False
    """Made by somebody after the world was: it holds nothing but what is put into it."""
    description: str = ""
    born: str = ""
    """The name it was made with: what the seed decided speaks of it, whatever it is called later."""
    limit: int | None = None
    """The sensor quota that somebody set."""
    version: str = ""
    """The sensor version that somebody set; "" for the stable one."""
    creator: str = ""
    """E-mail; "" for the provider's root."""


def _slug(name: str) -> str:
    for letter, plain in (
        ("ß", "ss"),
        ("ø", "o"),
        ("Ø", "O"),
        ("ł", "l"),
        ("Ł", "L"),
        ("æ", "ae"),
        ("Æ", "Ae"),
    ):
        name = name.replace(letter, plain)
    plain_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain_name).strip("-")


def _shares(seed: int, what: str, count: int, exponent: float) -> list[float]:
    """Cumulative shares, skewed like real customers are: a few have most."""
    total, sums = 0.0, []
    for index in range(count):
        total += 0.05 + min(60.0, (1.0 - Chance(seed, what, index).share()) ** -exponent)
        sums.append(total)
    return [value / total for value in sums]


def _drawn(chance: Chance, options: tuple[tuple[str, str, str, int], ...]) -> tuple[str, str, str, int]:
    bounds, total = [], 0
    for option in options:
        total += option[3]
        bounds.append(total)
    return options[bisect_right(bounds, chance.below(total))]


def build(seed: int, count: int, detections: int, now: int) -> list[Organization]:
    """All organizations.

    Args:
        seed: decides everything but the times.
        count: how many, at least 1.
        detections: how many over all of them.
        now: seconds, UTC.
    """
    shares = _shares(seed, "detections", count, 0.75)
    taken: dict[str, int] = {}
    found: list[Organization] = []
    before = 0
    for index in range(count):
        chance = Chance(seed, "organization", index)
        parent = None
        # A child stands right behind its parent, so that any prefix of the list is a whole hierarchy.
        if index and found[-1].parent is None and index % 27 == 13:
            parent = index - 1
        elif index > 1 and found[-1].parent is not None and index % 27 in (14, 15):
            parent = found[-1].parent
        if parent is not None:
            above = found[parent]
            name = f"{above.name.split(',')[0]} {names.CHILDREN[index % 27 - 13]}"
            slug = f"{above.slug}-{_slug(names.CHILDREN[index % 27 - 13])}"
            region, site, tier, industry, domain = (
                above.region,
                above.site,
                above.tier,
                above.industry,
                above.domain,
            )
        else:
            region, _, site, _ = _drawn(chance, names.REGIONS)
            tier = _drawn(chance, names.TIERS)[0]
            industry, trades = chance.pick(names.INDUSTRIES)
            base = f"{chance.pick(names.STEMS[region])} {chance.pick(trades)}"
            form = chance.pick(names.LEGAL_FORMS[region])
            name = f"{base} {form}".strip()
            slug = _slug(base)
            domain = ""
        repeats = taken.get(slug, 0)
        taken[slug] = repeats + 1
        if repeats:
            name, slug = f"{name} ({repeats + 1})", f"{slug}-{repeats + 1}"
        sensors = min(900, 5 + int(15 / (1.0 - chance.share())))
        upto = round(shares[index] * detections)
        found.append(
            Organization(
                index=index,
                oid=uuid_of(seed, "oid", index),
                name=name,
                slug=slug,
                domain=domain or f"{slug}.example",
                region=region,
                site=site,
                tier=tier,
                industry=industry,
                created=now - chance.between(40, 1500) * DAY - chance.below(DAY),
                sensors=sensors,
                quota=max(10, -(-sensors * 5 // 4 // 10) * 10),
                detections=upto - before,
                parent=parent,
                netbios=slug.replace("-", "")[:12].upper(),
                description=f"{industry}, {tier}",
                born=name,
            )
        )
        before = upto
    return found


def is_told(organization: Organization) -> bool:
    """Whether somebody changed an organization's record since it was made."""
    told = "" if organization.blank else f"{organization.industry}, {organization.tier}"
    return (
        organization.name != organization.born
        or organization.description != told
        or organization.limit is not None
        or organization.version != ""
    )


def blank(seed: int, index: int, name: str, site: str, now: int, taken: Container[str]) -> Organization:
    """An organization as it is when somebody has just made it.

    Args:
        index: the next free one.
        site: where it is to be; "" for the default.
        now: seconds, UTC.
        taken: slugs of others.
    """
    slug = _slug(name) or f"organization-{index}"
    if slug in taken:
        slug = f"{slug}-{index}"
    near = {"canada": "usa", "uk": "europe", "india": "australia"}.get(site, site)
    region = next((one for one, _, there, _ in names.REGIONS if there == near), names.REGIONS[0][0])
    return Organization(
        index=index,
        oid=uuid_of(seed, "made oid", index),
        name=name,
        slug=slug,
        domain=f"{slug}.example",
        region=region,
        site=site or names.REGIONS[0][2],
        tier="bronze",
        industry="",
        created=now,
        sensors=0,
        quota=2,  # the free tier
        detections=0,
        parent=None,
        netbios="",
        blank=True,
        born=name,
    )


def tree(
    organizations: Iterable[Organization], *, marks: dict[int, list[str]], parameters: dict[str, object]
) -> list[dict[str, object]]:
    """The provider's hierarchy: root, regions, tiers, customers, and the children some have.

    Args:
        marks: of organizations, by index.
        parameters: more of the root's.

    Returns:
        A flat list of {id, parent, name, oid?, labels?, parameters?, marks?}, parents first.
    """
    nodes: list[dict[str, object]] = [
        {
            "id": names.PROVIDER_SLUG,
            "parent": None,
            "name": names.PROVIDER,
            "labels": {"provider": names.PROVIDER_SLUG},
            "parameters": {
                "soc_email": f"soc@{names.PROVIDER_DOMAIN}",
                "retention_days": 90,
                **parameters,
            },
        }
    ]
    by_index = {organization.index: organization for organization in organizations}
    sites = {region: site for region, _, site, _ in names.REGIONS}
    present = {(organization.region, organization.tier) for organization in by_index.values()}
    for region, region_name, _, _ in names.REGIONS:
        if not any(found == region for found, _ in present):
            continue
        nodes.append(
            {
                "id": region,
                "parent": names.PROVIDER_SLUG,
                "name": region_name,
                "labels": {"region": region},
                "parameters": {"site": sites[region]},
            }
        )
        for tier, tier_name, sla, _ in names.TIERS:
            if (region, tier) not in present:
                continue
            minutes = {"gold": 15, "silver": 60, "bronze": 240}[tier]
            nodes.append(
                {
                    "id": f"{region}-{tier}",
                    "parent": region,
                    "name": tier_name,
                    "labels": {"tier": tier, "sla": sla},
                    "parameters": {"acknowledge_minutes": minutes},
                }
            )
    for organization in by_index.values():
        above = by_index.get(-1 if organization.parent is None else organization.parent)
        node: dict[str, object] = {
            "id": organization.slug,
            "parent": f"{organization.region}-{organization.tier}" if above is None else above.slug,
            "name": organization.name,
            "oid": organization.oid,
            "labels": {"industry": organization.industry},
        }
        if organization.index in marks:
            node["marks"] = marks[organization.index]
        nodes.append(node)
    return nodes
