"""Access reviews: what there is to attest, who decided what about it, and whether it is still so.

A line is one principal and one way by which it has access: the membership of a group, the ownership of one,
what was granted directly, or a key. Organizations are folded: a member of a group is one line however many
organizations it holds, direct grants of the same permissions are one line, and so are keys of the same name,
permissions and address range. What a line covers is two lists, of permissions and of organizations,
each kept once by its SHA-256; the digest over them names exactly what was attested. When the store knows of
other access than that, the line is to be decided again.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Connection, Select, Table, Text, cast, func, insert, select, update

from store import accessplans, models
from store.accesschanges import AccessChange, ordered
from store.bodies import pack, storable, unpack
from store.configuration import canonical, content_hash
from store.errors import StoreError
from store.permissions import is_privileged
from store.queries.scopes import NODE, ORGANIZATION, UNPLACED, oids_of
from store.text import Untrusted

KINDS: tuple[str, ...] = ("member", "owner", "direct", "key")
"""Ways to have access: a member of a group receives its permissions, an owner only manages it."""

VERDICTS: tuple[str, ...] = ("open", "attested", "revoked")
OPEN, ATTESTED, REVOKED = range(len(VERDICTS))

LONGEST = 4_000
"""Characters of a reason or a title."""

_R: Table = models.AccessReview.__table__  # type: ignore[attr-defined]
_L: Table = models.ReviewLine.__table__  # type: ignore[attr-defined]
_D: Table = models.ReviewDecision.__table__  # type: ignore[attr-defined]
_C: Table = models.ReviewContent.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_MEMBER: Table = models.GroupMember.__table__  # type: ignore[attr-defined]
_HOLDS: Table = models.GroupOrganization.__table__  # type: ignore[attr-defined]
_DIRECT: Table = models.DirectPermission.__table__  # type: ignore[attr-defined]
_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]

ACCESS_TABLES = frozenset(
    {"organization_group", "group_member", "group_organization", "direct_permission", "api_key", "node"}
)
"""The tables of which a commit may mean that lines cover something else than before."""

REVIEW_TABLES = frozenset({"access_review", "review_line", "access_plan", "access_step"})
"""The tables of which a commit may mean that a review has come further."""


class ReviewError(StoreError):
    """What cannot be done with a review; the text says why, and nothing was changed."""


class ScopeGone(ReviewError):
    """The node that a review is about is not in the tree any more: what it covers now cannot be told."""


class UnknownReview(ReviewError):
    """There is no review, or no line, of this number."""


@dataclass(frozen=True, slots=True)
class Covered:
    """One way of one principal as the store knows it now."""

    kind: str
    principal: str
    gid: str
    group: str
    permissions: tuple[str, ...]
    """Sorted."""
    places: tuple[str, ...]
    """Organizations, sorted; of keys `OID HASH`."""
    permissions_digest: str
    places_digest: str
    outside: int
    """Organizations that the same way reaches outside the scope."""

    @property
    def digest(self) -> str:
        """Names principal, way, permissions and organizations."""
        return line_digest(self.kind, self.principal, self.gid, self.permissions_digest, self.places_digest)

    def anchors(self) -> list[str]:
        """Every key under which a line may know it; the first is that of a new line."""
        if self.gid:
            return [f"{self.kind} {self.gid} {self.principal}"]
        if self.kind == "key":
            return [f"key {place}" for place in self.places]
        return [f"direct {place} {self.principal}" for place in self.places]


def line_digest(kind: str, principal: str, gid: str, permissions: str, places: str) -> str:
    """SHA-256 of the canonical JSON of these five, of which the last two are digests of lists."""
    return content_hash([kind, principal, gid, permissions, places])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a review is about."""

    scope: str = ""
    """Id of a tree node; "" is everything."""
    principals: tuple[str, ...] = ()
    """Patterns with `*`; any of them does, in any case of letters."""
    kinds: tuple[str, ...] = ()
    permission: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a review has come, in lines."""

    lines: int
    attested: int
    revoked: int
    """Decided to be taken away, and still there."""
    taken: int
    """Revoked, and there no more."""
    gone: int
    """There no more, without having been revoked: nothing is left to decide."""
    undecided: int
    changed: int
    """Decided, and other access by now: to be decided again."""

    @property
    def left(self) -> int:
        """Lines that wait for a decision."""
        return self.undecided + self.changed

    @property
    def done(self) -> int:
        """Lines that wait for none."""
        return self.lines - self.left


@dataclass(frozen=True, slots=True)
class Review:
    """One campaign."""

    id: int
    title: Untrusted
    wanted: Wanted
    scope_name: Untrusted
    by: Untrusted
    started_at: int
    looked_at: int
    closed_at: int | None
    closed_by: Untrusted
    readings: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a campaign."""

    id: int
    review: int
    key: str
    kind: str
    principal: Untrusted
    gid: str
    group: Untrusted
    digest: str
    permissions: str
    """Digest of the list."""
    places: str
    """Digest of the list."""
    permission_count: int
    place_count: int
    outside: int
    added_at: int
    changed_at: int | None
    gone_at: int | None
    verdict: int
    decided_by: Untrusted
    decided_at: int | None
    reason: Untrusted
    decided_digest: str
    decided_permissions: str
    decided_places: str
    plan_id: int | None
    version: int

    @property
    def standing(self) -> str:
        """open, attested, revoked, changed (decide it again), taken (revoked, and gone), gone."""
        if self.gone_at is not None:
            return "taken" if self.verdict == REVOKED else "gone"
        if self.verdict != OPEN and self.changed_at is not None:
            return "changed"
        return VERDICTS[self.verdict]

    @property
    def waits(self) -> bool:
        """Whether it is to be decided."""
        return self.standing in ("open", "changed")


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody once decided about a line."""

    line: int
    verdict: int
    by: Untrusted
    actor: Untrusted
    at: int
    reason: Untrusted
    digest: str
    permissions: str
    places: str


@dataclass(frozen=True, slots=True)
class Drift:
    """How the access of now differs from what the lines say."""

    new: tuple[Covered, ...] = ()
    changed: tuple[tuple[int, Covered], ...] = ()
    """(line, what it covers now)"""
    gone: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a line covers now against what was decided."""

    permissions_added: tuple[str, ...] = ()
    permissions_gone: tuple[str, ...] = ()
    places_added: tuple[str, ...] = ()
    places_gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not decided, and why, in a sentence."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision over some lines."""

    done: tuple[int, ...] = ()
    unchanged: tuple[int, ...] = ()
    """So decided already, by the same operator."""
    refused: tuple[Refused, ...] = ()


# The access of now


@dataclass(frozen=True, slots=True)
class Only:
    """A part of all access: what some lines are about, so that deciding one does not read everything."""

    gids: tuple[str, ...]
    emails: tuple[str, ...]
    """Of direct grants."""
    keys: tuple[str, ...]
    """Names."""

    @classmethod
    def of(cls, found: Iterable[Line]) -> "Only":
        """What these lines are about."""
        wanted = list(found)
        return cls(
            tuple({each.gid for each in wanted if each.gid}),
            tuple({str(each.principal) for each in wanted if each.kind == "direct"}),
            tuple({str(each.principal) for each in wanted if each.kind == "key"}),
        )

    def holds(self, line: Line) -> bool:
        """Whether a line is about that too."""
        if line.gid:
            return line.gid in self.gids
        return str(line.principal) in (self.emails if line.kind == "direct" else self.keys)

    @property
    def few(self) -> bool:
        """Whether naming them costs less than reading everything."""
        return len(self.gids) + len(self.emails) + len(self.keys) <= FEW


FEW = 200


def covered(c: Connection, wanted: Wanted, only: Only | None = None) -> list[Covered]:
    """Everything that a review of this is about, as the store knows it now; by principal.

    Args:
        only: just what these lines are about, all of it.
    """
    query = oids_of(c, wanted.scope)
    within = None if query is None else frozenset(row.oid for row in c.execute(query))
    kinds = frozenset(wanted.kinds or KINDS)
    patterns = tuple(each.casefold() for each in wanted.principals)

    def named(principal: str) -> bool:
        return not patterns or any(fnmatchcase(principal.casefold(), each) for each in patterns)

    def gives(permissions: Sequence[str]) -> bool:
        return not wanted.permission or wanted.permission in permissions

    found: list[Covered] = []
    if kinds & {"member", "owner"} and (only is None or only.gids):
        found += _of_groups(c, within, kinds, named, gives, only)
    if "direct" in kinds and (only is None or only.emails):
        found += _direct(c, within, named, gives, only)
    if "key" in kinds and (only is None or only.keys):
        found += _keys(c, within, named, gives, only)
    found.sort(key=lambda each: (each.principal.casefold(), KINDS.index(each.kind), each.group, each.places))
    return found


_Named = Callable[[str], bool]
_Gives = Callable[[Sequence[str]], bool]


class _Lists(dict[str, tuple[str, ...]]):
    """The text of a list of permissions -> the list, sorted. Of ten thousand most are equal."""

    def __missing__(self, text: str) -> tuple[str, ...]:
        found = self[text] = tuple(sorted(json.loads(text)))
        return found


def _of_groups(
    c: Connection,
    within: frozenset[str] | None,
    kinds: frozenset[str],
    named: _Named,
    gives: _Gives,
    only: Only | None,
) -> list[Covered]:
    def limited(query: Select[Any], column: Any) -> Select[Any]:
        return query if only is None else query.where(column.in_(only.gids))

    held: dict[str, list[str]] = {}
    for gid, oid in c.execute(limited(select(_HOLDS.c.gid, _HOLDS.c.oid), _HOLDS.c.gid)).all():
        held.setdefault(gid, []).append(oid)
    groups: dict[str, Covered] = {}
    columns = (_GROUP.c.gid, _GROUP.c.name, _GROUP.c.permissions)
    for row in c.execute(limited(select(*columns), _GROUP.c.gid)).all():
        everywhere = held.get(row.gid, [])
        places = tuple(sorted(everywhere if within is None else [o for o in everywhere if o in within]))
        permissions = tuple(sorted(row.permissions))
        if (within is None or places) and gives(permissions):
            groups[row.gid] = Covered(
                "member", "", row.gid, row.name, permissions, places, content_hash(list(permissions)),
                content_hash(list(places)), len(everywhere) - len(places),
            )  # fmt: skip
    members = limited(select(_MEMBER.c.gid, _MEMBER.c.email, _MEMBER.c.owner), _MEMBER.c.gid)
    return [
        replace(groups[row.gid], kind="owner" if row.owner else "member", principal=row.email)
        for row in c.execute(members).all()
        if row.gid in groups and ("owner" if row.owner else "member") in kinds and named(row.email)
    ]


def _direct(
    c: Connection, within: frozenset[str] | None, named: _Named, gives: _Gives, only: Only | None
) -> list[Covered]:
    lists = _Lists()
    folds: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    outside: dict[tuple[str, tuple[str, ...]], int] = {}
    query = select(_DIRECT.c.oid, _DIRECT.c.email, cast(_DIRECT.c.permissions, Text))
    if only is not None:
        query = query.where(_DIRECT.c.email.in_(only.emails))
    for oid, email, text in c.execute(query).all():
        fold = (email, lists[text])
        if within is not None and oid not in within:
            outside[fold] = outside.get(fold, 0) + 1
        elif fold[1] and named(email) and gives(fold[1]):
            folds.setdefault(fold, []).append(oid)
    return [
        _folded("direct", email, permissions, places, outside.get((email, permissions), 0))
        for (email, permissions), places in folds.items()
    ]


def _keys(
    c: Connection, within: frozenset[str] | None, named: _Named, gives: _Gives, only: Only | None
) -> list[Covered]:
    lists = _Lists()
    folds: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    outside: dict[tuple[str, tuple[str, ...], str], int] = {}
    query = select(
        _KEY.c.oid, _KEY.c.key_hash, _KEY.c.name, cast(_KEY.c.permissions, Text), _KEY.c.allowed_ip_range
    )
    if only is not None:
        query = query.where(_KEY.c.name.in_(only.keys))
    for oid, key_hash, name, text, range_ in c.execute(query).all():
        fold = (name, lists[text], range_)
        if within is not None and oid not in within:
            outside[fold] = outside.get(fold, 0) + 1
        elif named(name) and gives(fold[1]):
            folds.setdefault(fold, []).append(f"{oid} {key_hash}")
    return [_folded("key", fold[0], fold[1], places, outside.get(fold, 0)) for fold, places in folds.items()]


def _folded(
    kind: str, principal: str, permissions: tuple[str, ...], places: list[str], outside: int
) -> Covered:
    there = tuple(sorted(places))
    return Covered(
        kind, principal, "", "", permissions, there, content_hash(list(permissions)),
        content_hash(list(there)), outside,
    )  # fmt: skip


def drift(lines: Sequence[Line], now: Iterable[Covered]) -> Drift:
    """How the access of now differs from what the lines say, gone ones included."""
    current = list(now)
    known = {anchor: number for number, each in enumerate(current) for anchor in each.anchors()}
    taken: set[int] = set()
    changed: list[tuple[int, Covered]] = []
    gone: list[int] = []
    for line in lines:
        number = known.get(line.key)
        if number is None or number in taken:
            if line.gone_at is None:
                gone.append(line.id)
            continue
        taken.add(number)
        here = current[number]
        same = (line.digest, line.outside, str(line.group)) == (
            here.digest,
            here.outside,
            storable(here.group),
        )
        if not same or line.gone_at is not None:
            changed.append((line.id, here))
    return Drift(
        tuple(each for number, each in enumerate(current) if number not in taken), tuple(changed), tuple(gone)
    )


def as_of(c: Connection, lines: Sequence[Line], moved: Drift, now: int) -> list[Line]:
    """The lines as they are once a drift is written down, without those that are new."""
    changed, gone = dict(moved.changed), set(moved.gone)
    return [
        _moved(c, line, changed[line.id], now)
        if line.id in changed
        else replace(line, gone_at=now)
        if line.id in gone
        else line
        for line in lines
    ]


def _moved(c: Connection, line: Line, here: Covered, now: int) -> Line:
    """A line that covers something else now, or is there again.

    What was attested is decided again whatever changed, also when it became less. What was revoked is
    decided again only when it may have become more: a part of it was taken away as wanted.
    """
    back = line.gone_at is not None
    changed_at = line.changed_at
    if back or here.digest != line.digest:
        changed_at = now
    if not back and changed_at is not None:
        as_decided = line.verdict != OPEN and here.digest == line.decided_digest
        if as_decided or (line.verdict == REVOKED and not _grew(c, line, here)):
            changed_at = None
    return replace(
        line, digest=here.digest, permissions=here.permissions_digest, places=here.places_digest,
        permission_count=len(here.permissions), place_count=len(here.places), outside=here.outside,
        group=Untrusted(storable(here.group)), changed_at=changed_at, gone_at=None,
    )  # fmt: skip


# Beginning one, and keeping it as the access is


def start(c: Connection, title: str, wanted: Wanted, *, by: str, now: int) -> int:
    """Begin a review; answers its number.

    Raises:
        ReviewError: it has no title, or nothing would be in it.
    """
    title = title.strip()
    if not title:
        raise ReviewError("A review needs a title: --title says what it is for.")
    if len(title) > LONGEST:
        raise ReviewError(f"A title has at most {LONGEST:,} characters.")
    unknown = [each for each in wanted.kinds if each not in KINDS]
    if unknown:
        raise ReviewError(f"There is no kind {unknown[0]!a}; there are {', '.join(KINDS)}.")
    found = covered(c, wanted)
    if not found:
        raise ReviewError("Nobody in the store has such access there, so there is nothing to review.")
    name = c.execute(select(NODE.c.path).where(NODE.c.id == wanted.scope)).scalar_one_or_none()
    if wanted.scope and not name:
        name = c.execute(
            select(ORGANIZATION.c.name).where(ORGANIZATION.c.oid == wanted.scope)
        ).scalar_one_or_none()
    number: int = c.execute(
        insert(_R)
        .values(
            title=storable(title), scope=wanted.scope, scope_name=name or wanted.scope,
            principal="\n".join(map(storable, wanted.principals)), kinds=" ".join(wanted.kinds),
            permission=storable(wanted.permission), by=storable(by), started_at=now, looked_at=now,
            closed_by="", readings="",
        )
        .returning(_R.c.id)
    ).scalar_one()  # fmt: skip
    _add(c, number, found, now)
    return number


def check_scope(c: Connection, found: Review) -> None:
    """Refuse to compare a review whose node is gone: every line of it would look as if its access were.

    Raises:
        ScopeGone: it is.
    """
    scope = found.wanted.scope
    if not scope or scope == UNPLACED:
        return
    for column in (NODE.c.id, ORGANIZATION.c.oid):
        if c.execute(select(column).where(column == scope)).first() is not None:
            return
    raise ScopeGone(
        f"The node {found.scope_name} of review {found.id} is not in the tree any more, so what it covers "
        "now cannot be told; put it back, or close the review incomplete."
    )


def compared(c: Connection, review_id: int, some: Sequence[int] | None = None) -> tuple[list[Line], Drift]:
    """The lines of an open review, and how they differ from the access that the store knows.

    Args:
        some: only these, and whatever is about the same; all when None.

    Raises:
        UnknownReview: there is no such review.
        ScopeGone: see `check_scope`.
    """
    found = review(c, review_id)
    if found.closed_at is not None:
        return [], Drift()
    check_scope(c, found)
    before = lines(c, review_id)
    if some is not None:
        chosen = set(some)
        only = Only.of(each for each in before if each.id in chosen)
        if only.few:
            before = [each for each in before if only.holds(each)]
            return before, drift(before, covered(c, found.wanted, only))
    return before, drift(before, covered(c, found.wanted))


def refresh(c: Connection, review_id: int, *, now: int, some: Sequence[int] | None = None) -> Drift:
    """Compare an open review with the access that the store knows, and write down what differs.

    Args:
        some: as `compared`.

    Raises:
        UnknownReview: there is none of this number.
    """
    before, moved = compared(c, review_id, some)
    if moved:
        keep(c, review_id, before, moved, now=now)
    return moved


def keep(c: Connection, review_id: int, before: Sequence[Line], moved: Drift, *, now: int) -> None:
    """Write down a drift that was found among these lines."""
    _put_contents(c, [each for _, each in moved.changed])
    known = {line.id: line for line in before}
    for number, here in moved.changed:
        line = _moved(c, known[number], here, now)
        c.execute(
            update(_L)
            .where(_L.c.id == number)
            .values(
                digest=line.digest, permissions=line.permissions, places=line.places,
                permission_count=line.permission_count, place_count=line.place_count, outside=line.outside,
                group_name=str(line.group), changed_at=line.changed_at, gone_at=None,
                version=_L.c.version + 1,
            )
        )  # fmt: skip
    for at in range(0, len(moved.gone), 500):
        c.execute(
            update(_L)
            .where(_L.c.id.in_(moved.gone[at : at + 500]))
            .values(gone_at=now, version=_L.c.version + 1)
        )
    _add(c, review_id, moved.new, now)
    c.execute(update(_R).where(_R.c.id == review_id).values(looked_at=now))


def _grew(c: Connection, line: Line, here: Covered) -> bool:
    """Whether a line may cover more than was decided."""
    decided = contents(c, {line.decided_permissions, line.decided_places})
    return not (
        set(here.permissions) <= set(decided.get(line.decided_permissions, ()))
        and set(here.places) <= set(decided.get(line.decided_places, ()))
    )


def _add(c: Connection, review_id: int, found: Sequence[Covered], now: int) -> None:
    if not found:
        return
    _put_contents(c, found)
    rows = [
        {
            "review_id": review_id, "key": storable(each.anchors()[0]), "kind": each.kind,
            "principal": storable(each.principal), "gid": each.gid, "group_name": storable(each.group),
            "digest": each.digest, "permissions": each.permissions_digest, "places": each.places_digest,
            "permission_count": len(each.permissions), "place_count": len(each.places),
            "outside": each.outside, "added_at": now, "verdict": OPEN, "decided_by": "", "reason": "",
            "decided_digest": "", "decided_permissions": "", "decided_places": "", "version": 0,
        }
        for each in found
    ]  # fmt: skip
    c.execute(insert(_L), rows)


def _put_contents(c: Connection, found: Sequence[Covered]) -> None:
    wanted: dict[str, tuple[str, ...]] = {}
    for each in found:
        wanted[each.permissions_digest] = each.permissions
        wanted[each.places_digest] = each.places
    _put(c, wanted)


def _put(c: Connection, wanted: Mapping[str, Sequence[Any]]) -> None:
    digests = sorted(wanted)
    there: set[str] = set()
    for at in range(0, len(digests), 500):
        there.update(c.execute(select(_C.c.digest).where(_C.c.digest.in_(digests[at : at + 500]))).scalars())
    new = [
        {"digest": digest, "body": pack(canonical(list(wanted[digest])))}
        for digest in digests
        if digest not in there
    ]
    if new:
        c.execute(insert(_C), new)


# Reading


def reviews(c: Connection) -> list[Review]:
    """Every campaign: open ones first, then the newest."""
    found = _reviews(c, [])
    return sorted(found, key=lambda each: (each.closed_at is not None, -each.id))


def review(c: Connection, review_id: int) -> Review:
    """One campaign.

    Raises:
        UnknownReview: there is none of this number.
    """
    found = _reviews(c, [_R.c.id == review_id])
    if not found:
        raise UnknownReview(
            f"There is no review {review_id}; `limegrove access review list` names those there are."
        )
    return found[0]


def _reviews(c: Connection, conditions: Sequence[Any]) -> list[Review]:
    rows = c.execute(select(_R).where(*conditions).order_by(_R.c.id)).all()
    numbers = [row.id for row in rows]
    counted: dict[int, dict[str, int]] = {}
    query = (
        select(
            _L.c.review_id, _L.c.verdict, _L.c.gone_at.is_not(None).label("gone"),
            _L.c.changed_at.is_not(None).label("changed"), func.count().label("number"),
        )
        .where(_L.c.review_id.in_(numbers))
        .group_by(_L.c.review_id, _L.c.verdict, _L.c.gone_at.is_not(None), _L.c.changed_at.is_not(None))
    )  # fmt: skip
    for row in c.execute(query):
        if row.gone:
            standing = "taken" if row.verdict == REVOKED else "gone"
        elif row.verdict != OPEN and row.changed:
            standing = "changed"
        else:
            standing = VERDICTS[row.verdict]
        of = counted.setdefault(row.review_id, {})
        of[standing] = of.get(standing, 0) + row.number
    return [
        Review(
            row.id, Untrusted(row.title),
            Wanted(
                row.scope, tuple(row.principal.split("\n")) if row.principal else (),
                tuple(row.kinds.split()), row.permission,
            ),
            Untrusted(row.scope_name), Untrusted(row.by), row.started_at, row.looked_at, row.closed_at,
            Untrusted(row.closed_by), row.readings, _progress(counted.get(row.id, {})),
        )
        for row in rows
    ]  # fmt: skip


def progress_of(found: Iterable[Line]) -> Progress:
    """How far these lines have come."""
    counted: dict[str, int] = {}
    for line in found:
        counted[line.standing] = counted.get(line.standing, 0) + 1
    return _progress(counted)


def _progress(counted: Mapping[str, int]) -> Progress:
    return Progress(
        lines=sum(counted.values()), attested=counted.get("attested", 0), revoked=counted.get("revoked", 0),
        taken=counted.get("taken", 0), gone=counted.get("gone", 0), undecided=counted.get("open", 0),
        changed=counted.get("changed", 0),
    )  # fmt: skip


def lines(c: Connection, review_id: int, wanted: Sequence[int] | None = None) -> list[Line]:
    """The lines of a review, in the order in which they were found: by principal, what came later last.

    Args:
        wanted: only these; all of them when None.
    """
    conditions = [_L.c.review_id == review_id]
    if wanted is None:
        rows = c.execute(select(_L).where(*conditions).order_by(_L.c.id)).all()
        return [_line(row) for row in rows]
    found: list[Line] = []
    numbers = sorted(set(wanted))
    for at in range(0, len(numbers), 500):
        some = _L.c.id.in_(numbers[at : at + 500])
        found += [_line(row) for row in c.execute(select(_L).where(*conditions, some).order_by(_L.c.id))]
    return found


def _line(row: Any) -> Line:
    return Line(
        row.id, row.review_id, row.key, row.kind, Untrusted(row.principal), row.gid,
        Untrusted(row.group_name), row.digest, row.permissions, row.places, row.permission_count,
        row.place_count, row.outside, row.added_at, row.changed_at, row.gone_at, row.verdict,
        Untrusted(row.decided_by), row.decided_at, Untrusted(row.reason), row.decided_digest,
        row.decided_permissions, row.decided_places, row.plan_id, row.version,
    )  # fmt: skip


def history(c: Connection, review_id: int, line_id: int | None = None) -> list[Decision]:
    """What was decided, in the order in which it was."""
    query = select(_D).where(_D.c.review_id == review_id)
    if line_id is not None:
        query = query.where(_D.c.line_id == line_id)
    return [
        Decision(
            row.line_id, row.verdict, Untrusted(row.by), Untrusted(row.actor), row.at, Untrusted(row.reason),
            row.digest, row.permissions, row.places,
        )
        for row in c.execute(query.order_by(_D.c.id))
    ]  # fmt: skip


def contents(c: Connection, digests: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The lists that these digests name: permissions, or organizations (of keys `OID HASH`)."""
    wanted = sorted(set(digests) - {""})
    found: dict[str, tuple[str, ...]] = {}
    for at in range(0, len(wanted), 500):
        for row in c.execute(select(_C).where(_C.c.digest.in_(wanted[at : at + 500]))):
            found[row.digest] = tuple(json.loads(unpack(row.body)))
    return found


def difference(c: Connection, line: Line) -> Difference:
    """What a decided line covers now that it did not when it was decided, and the other way round."""
    if not line.decided_digest:
        return Difference()
    found = contents(c, {line.permissions, line.places, line.decided_permissions, line.decided_places})
    gives, gave = set(found.get(line.permissions, ())), set(found.get(line.decided_permissions, ()))
    here, there = set(found.get(line.places, ())), set(found.get(line.decided_places, ()))
    return Difference(
        tuple(sorted(gives - gave)), tuple(sorted(gave - gives)), tuple(sorted(here - there)),
        tuple(sorted(there - here)),
    )  # fmt: skip


def privileged(permissions: Iterable[str]) -> tuple[str, ...]:
    """Those that make their holder master of an organization."""
    return tuple(each for each in permissions if is_privileged(each))


def names_of(c: Connection, oids: Iterable[str]) -> dict[str, Untrusted]:
    """The names of organizations; one that is unknown goes by its oid."""
    wanted = sorted(set(oids))
    found = {oid: Untrusted(oid) for oid in wanted}
    for at in range(0, len(wanted), 500):
        some = wanted[at : at + 500]
        for row in c.execute(
            select(ORGANIZATION.c.oid, ORGANIZATION.c.name).where(ORGANIZATION.c.oid.in_(some))
        ):
            found[row.oid] = Untrusted(row.name or row.oid)
    return found


@dataclass(frozen=True, slots=True)
class Reading:
    """How well the access of one organization is known."""

    oid: str
    organization: Untrusted
    access_at: int | None
    """When its users and groups were last read completely; None when never."""
    keys_at: int | None
    failure: str
    reason: Untrusted

    @property
    def whole(self) -> bool:
        """Whether all of it was read, and the last attempt did not fail."""
        return self.access_at is not None and self.keys_at is not None and not self.failure


def readings(c: Connection, scope: str) -> list[Reading]:
    """How well the access of each organization of a scope is known, and of the groups (oid "") first."""
    query = select(ORGANIZATION.c.oid, ORGANIZATION.c.name).where(ORGANIZATION.c.gone_at.is_(None))
    within = oids_of(c, scope)
    if within is not None:
        query = query.where(ORGANIZATION.c.oid.in_(within))
    read: dict[tuple[str, str], Any] = {
        (row.oid, row.subject): row
        for row in c.execute(
            select(
                _STATE.c.oid, _STATE.c.subject, _STATE.c.checked_at, _STATE.c.failure, _STATE.c.reason
            ).where(_STATE.c.subject.in_(("access", "keys", "groups")))
        )
    }
    groups = read.get(("", "groups"))
    at = groups.checked_at if groups else None
    found = [
        Reading(
            "", Untrusted("groups"), at, at, groups.failure if groups else "",
            Untrusted(groups.reason if groups else ""),
        )
    ]  # fmt: skip
    for oid, name in c.execute(query.order_by(ORGANIZATION.c.name, ORGANIZATION.c.oid)):
        access, keys = read.get((oid, "access")), read.get((oid, "keys"))
        failed = next((row for row in (access, keys) if row is not None and row.failure), None)
        found.append(
            Reading(
                oid, Untrusted(name), access.checked_at if access else None,
                keys.checked_at if keys else None, failed.failure if failed else "",
                Untrusted(failed.reason if failed else ""),
            )
        )  # fmt: skip
    return found


# Deciding


def decide(
    c: Connection,
    review_id: int,
    wanted: Sequence[tuple[int, int | None]],
    verdict: int,
    *,
    by: str,
    actor: str,
    reason: str = "",
    now: int,
) -> Decided:
    """Decide lines, each by one operator: who comes second is told who was first.

    Args:
        wanted: (line, its version as the operator saw it; None for whatever it is now).
        verdict: ATTESTED or REVOKED, or OPEN to take a decision back.
        reason: needed but for OPEN.

    Raises:
        ReviewError: nothing at all can be decided: no reason, a closed review, an unknown line.
    """
    reason = reason.strip()
    if verdict != OPEN and not reason:
        raise ReviewError("A decision needs a reason; nothing was decided.")
    if len(reason) > LONGEST:
        raise ReviewError(f"A reason has at most {LONGEST:,} characters; nothing was decided.")
    found = review(c, review_id)
    if found.closed_at is not None:
        raise ReviewError(f"Review {review_id} was closed by {found.closed_by}; nothing was decided.")
    known = {line.id: line for line in lines(c, review_id, [number for number, _ in wanted])}
    missing = [number for number, _ in wanted if number not in known]
    if missing:
        raise UnknownReview(
            f"Review {review_id} has no line {missing[0]}; `limegrove access review show {review_id}` lists "
            "them. Nothing was decided."
        )
    done: list[int] = []
    unchanged: list[int] = []
    refused: list[Refused] = []
    for number, version in dict(wanted).items():
        line = known[number]
        if line.verdict == verdict and not line.waits and str(line.decided_by) == storable(by):
            unchanged.append(number)
        elif why := _why_not(line, version, verdict):
            refused.append(Refused(number, why))
        elif _set(c, line, verdict, by, actor, reason, now):
            done.append(number)
        else:
            again = lines(c, review_id, [number])[0]
            refused.append(Refused(number, _lost(again)))
    return Decided(tuple(done), tuple(unchanged), tuple(refused))


def _why_not(line: Line, version: int | None, verdict: int) -> str:
    if line.gone_at is not None:
        return "Its access is there no more: nothing is left to decide."
    if version is not None and version != line.version:
        return _lost(line)
    if verdict == OPEN:
        return "" if line.verdict != OPEN else "Nothing was decided about it."
    return "" if line.waits else _lost(line)


def _lost(line: Line) -> str:
    if line.waits:
        return "Its access changed since it was looked at: look again, then decide."
    from store.times import rfc3339

    return (
        f"{line.decided_by} {VERDICTS[line.verdict]} it at {rfc3339(line.decided_at)}"
        f"{f' ({line.reason})' if line.reason else ''}; undecide it first."
    )


def _set(c: Connection, line: Line, verdict: int, by: str, actor: str, reason: str, now: int) -> bool:
    is_open = verdict == OPEN
    what = (line.digest, line.permissions, line.places)
    changed = c.execute(
        update(_L)
        .where(_L.c.id == line.id, _L.c.version == line.version)
        .values(
            verdict=verdict, decided_by="" if is_open else storable(by), decided_at=None if is_open else now,
            reason="" if is_open else storable(reason), decided_digest="" if is_open else what[0],
            decided_permissions="" if is_open else what[1], decided_places="" if is_open else what[2],
            changed_at=None, plan_id=None, version=line.version + 1,
        )
    )  # fmt: skip
    if changed.rowcount != 1:
        return False
    c.execute(
        insert(_D).values(
            review_id=line.review, line_id=line.id, verdict=verdict, by=storable(by), actor=storable(actor),
            at=now, reason=storable(reason), digest=what[0], permissions=what[1], places=what[2],
        )
    )  # fmt: skip
    return True


def close(c: Connection, review_id: int, *, by: str, now: int, incomplete: bool = False) -> Review:
    """Close a review: nothing of it changes any more.

    Args:
        incomplete: also when lines are undecided; the evidence says so.

    Raises:
        ReviewError: it is closed, or lines are undecided.
    """
    found = review(c, review_id)
    if found.closed_at is not None:
        raise ReviewError(f"Review {review_id} was closed by {found.closed_by} already.")
    if found.progress.left and not incomplete:
        raise ReviewError(
            f"{found.progress.left:,} of {found.progress.lines:,} lines of review {review_id} wait for a "
            "decision; decide them, or close it incomplete, which the evidence will say."
        )
    known = [_reading_row(each) for each in readings(c, found.wanted.scope)]
    digest = content_hash(known)
    _put(c, {digest: known})
    c.execute(
        update(_R)
        .where(_R.c.id == review_id, _R.c.closed_at.is_(None))
        .values(closed_at=now, closed_by=storable(by), readings=digest)
    )
    return review(c, review_id)


def _reading_row(each: Reading) -> list[Any]:
    return [each.oid, str(each.organization), each.access_at, each.keys_at, each.failure, str(each.reason)]


def readings_of(c: Connection, found: Review) -> list[Reading]:
    """How well each organization's access is known; of a closed review, was known when it was closed."""
    if not found.readings:
        return readings(c, found.wanted.scope)
    body = c.execute(select(_C.c.body).where(_C.c.digest == found.readings)).scalar_one()
    return [
        Reading(oid, Untrusted(name), access_at, keys_at, failure, Untrusted(reason))
        for oid, name, access_at, keys_at, failure, reason in json.loads(unpack(body))
    ]


# Taking away what was revoked


def changes_of(line: Line, places: Sequence[str]) -> list[AccessChange]:
    """What takes a line's access away.

    Args:
        places: what `contents` has for its `decided_places`.
    """
    principal = str(line.principal)
    if line.kind == "member":
        return [AccessChange("remove_member", gid=line.gid, principal=principal)]
    if line.kind == "owner":
        return [AccessChange("remove_owner", gid=line.gid, principal=principal)]
    if line.kind == "direct":
        return [AccessChange("remove_user", oid=oid, principal=principal) for oid in places]
    pairs = [place.partition(" ") for place in places]
    return [AccessChange("delete_key", oid=oid, principal=key_hash) for oid, _, key_hash in pairs]


def to_take(c: Connection, found: Sequence[Line]) -> dict[int, list[AccessChange]]:
    """Line -> what takes it away, of those that are revoked and still there as they were decided."""
    wanted = [line for line in found if line.standing == "revoked"]
    lists = contents(c, {line.decided_places for line in wanted} | {line.places for line in wanted})
    taking: dict[int, list[AccessChange]] = {}
    for line in wanted:
        here = set(lists.get(line.places, ()))
        decided = [each for each in lists.get(line.decided_places, ()) if each in here or line.gid]
        taking[line.id] = changes_of(line, decided)
    return taking


def planned(c: Connection, numbers: Iterable[int], plan_id: int) -> None:
    """Note which plan takes these lines away."""
    wanted = sorted(set(numbers))
    for at in range(0, len(wanted), 500):
        c.execute(update(_L).where(_L.c.id.in_(wanted[at : at + 500])).values(plan_id=plan_id))


@dataclass(frozen=True, slots=True)
class Came:
    """What came of taking a line's access away."""

    plan: int
    state: str
    """Of `store.accessplans.STATES`, or `expired` for a draft that is too old to be applied."""
    good: int
    """Changes that are as they were wanted."""
    of: int
    why: Untrusted
    """Why the first of the others is not; "" when nothing is in the way."""

    @property
    def words(self) -> str:
        """In one clause; it may hold a stranger's text."""
        if self.state in ("draft", "expired", "dropped"):
            return f"plan {self.plan} is {'not applied yet' if self.state == 'draft' else self.state}"
        said = f"plan {self.plan}: {self.good:,} of {self.of:,} changes made"
        return f"{said}; {self.why}" if self.why else said


def came_of(c: Connection, found: Iterable[Line], *, now: int) -> dict[int, Came]:
    """Line -> what came of it, of those that a plan takes away."""
    wanted = [line for line in found if line.plan_id is not None and line.verdict == REVOKED]
    lists = contents(c, {line.decided_places for line in wanted})
    plans: dict[int, accessplans.Plan] = {}
    for number in sorted({line.plan_id for line in wanted if line.plan_id is not None}):
        with suppress(accessplans.PlanError):
            plans[number] = accessplans.load(c, number)
    steps = {number: {step.change: step for step in plan.steps} for number, plan in plans.items()}
    came: dict[int, Came] = {}
    for line in wanted:
        plan = plans.get(line.plan_id or 0)
        if plan is None:
            continue
        mine = [
            step
            for change in changes_of(line, lists.get(line.decided_places, ()))
            if (step := steps[plan.id].get(change)) is not None
        ]
        bad = [step for step in mine if step.outcome not in ("done", "already", "waiting", "sending")]
        state = "expired" if plan.state == "draft" and plan.expires_at <= now else plan.state
        why = f"{bad[0].outcome}: {bad[0].error}".rstrip(": ") if bad else ""
        good = sum(1 for step in mine if step.outcome in ("done", "already"))
        came[line.id] = Came(plan.id, state, good, len(mine), Untrusted(why))
    return came


def plan(c: Connection, review_id: int, *, by: str, now: int) -> tuple[int, tuple[int, ...]]:
    """Draft one plan of everything that was revoked and is still there; answers its number and the lines.

    A draft of before that nobody applied is put away for it; what a plan is at just now stays with that.

    Raises:
        ReviewError: nothing is left to plan, or it cannot be planned.
    """
    found = review(c, review_id)
    known = lines(c, review_id)
    came = came_of(c, known, now=now)
    taking = {
        number: changes
        for number, changes in to_take(c, known).items()
        if number not in came or came[number].state != "applying"
    }
    if not taking:
        raise ReviewError(f"Nothing that was revoked in review {review_id} is left to be taken away.")
    for number in sorted({came[each].plan for each in taking if each in came}):
        accessplans.drop(c, number, now=now)
    try:
        made = accessplans.draft(
            c,
            ordered(change for changes in taking.values() for change in changes),
            title=f"Revoked in review {review_id}: {found.title}",
            by=by,
            now=now,
            source=f"review:{review_id}",
        )
    except accessplans.PlanError as error:
        raise ReviewError(str(error)) from error
    planned(c, taking, made)
    return made, tuple(taking)


def incomplete_groups(c: Connection) -> dict[str, Untrusted]:
    """The groups that only an organization's own listing named: who else is in them is not known."""
    rows = c.execute(select(_GROUP.c.gid, _GROUP.c.name).where(_GROUP.c.complete.is_(False)))
    return {row.gid: Untrusted(row.name) for row in rows}


# Choosing lines

STANDINGS: tuple[str, ...] = ("open", "changed", "attested", "revoked", "taken", "gone")
"""What `is:` takes, beside `left` (open or changed) and `new` (found after the review began)."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a filter line asks for; every word must hold."""

    words: tuple[str, ...] = ()
    """Each a part of the principal's or the group's name."""
    standings: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()

    def holds(self, line: Line, began: int, held: Mapping[str, Sequence[str]]) -> bool:
        """Whether a line is asked for.

        Args:
            began: when its review did.
            held: the lists of permissions, by digest.
        """
        if self.words:
            hay = f"{line.principal}\n{line.group}\n{line.gid}".casefold()
            if not all(word in hay for word in self.words):
                return False
        for wanted in self.standings:
            there = {line.standing, "left" if line.waits else "", "new" if line.added_at > began else ""}
            if wanted not in there:
                return False
        if any(kind != line.kind for kind in self.kinds):
            return False
        if any(word not in str(line.decided_by).casefold() for word in self.by):
            return False
        permissions = held.get(line.permissions, ())
        return all(any(word in each for each in permissions) for word in self.permissions)


def choose(line: str) -> Chosen:
    """Understand `dana is:changed kind:direct by:kim perm:user.ctrl`.

    Raises:
        ValueError: a word means nothing; the text says which, and what there is.
    """
    found: dict[str, list[str]] = {"": [], "is": [], "kind": [], "by": [], "perm": []}
    for word in line.casefold().split():
        head, mark, rest = word.partition(":")
        if not mark or head not in found or not head:
            found[""].append(word)
        elif not rest:
            raise ValueError(f"{head}: needs something after it.")
        elif head == "is" and rest not in (*STANDINGS, "left", "new"):
            raise ValueError(f"is: takes {', '.join((*STANDINGS, 'left', 'new'))}.")
        elif head == "kind" and rest not in KINDS:
            raise ValueError(f"kind: takes {', '.join(KINDS)}.")
        else:
            found[head].append(rest)
    return Chosen(*(tuple(found[name]) for name in ("", "is", "kind", "by", "perm")))
