"""What is done for a new customer: the organization, its place, its groups, and what its layers bring."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, Table, select

from console.limacharlie.answers import OrganizationRow
from console.limacharlie.errors import Ambiguous, Gone, Invalid
from console.operations import records
from console.operations.actor import actor
from console.operations.runsteps import Seen, StepFailed, Verb, Work
from console.operations.tree import ROOT, id_for
from store import customers, ingest, journal, models, sla
from store import runs as kept
from store.rollouts.compare import normalised_metadata, wanted_hash
from store.templates import library
from store.templates.documents import Record
from store.tree import TreeNode, add_node, mark_node, replace_tree, stored_tree

_OWNED: Table = models.TemplateOwned.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]

LOOKS = 3
"""How often a name is looked for that nobody gets any more, and that no organization of ours has."""
PAUSE = 1.0
"""Seconds between two looks."""


class Create(Verb):
    """Make the organization; never a second one of its name."""

    name = "organization.create"

    async def check(self, work: Work) -> Seen:
        """Whether it is there: by its id once that is known, else by its name."""
        oid = work.oid or str(work.made.get("oid", ""))
        if oid:
            try:
                record = await work.cloud.organization(oid).record()
            except Gone:
                return Seen(
                    fulfilled=False, fact={"oid": oid}, conflict="The organization is not there any more."
                )
            return Seen(fulfilled=True, fact={"oid": oid, "name": record["name"]}, made={"oid": oid})
        for look in range(LOOKS):
            if await work.cloud.name_available(work.target):
                return Seen(fulfilled=False, fact={"oid": ""})
            if (found := await _named(work)) is not None:
                fact, made = {"oid": found.oid}, {"oid": found.oid, "site": found.region}
                if work.sent:
                    return Seen(fulfilled=True, fact=fact, made=made)
                return Seen(
                    fulfilled=False, fact=fact,
                    conflict="An organization of this name was made by somebody else since this was planned.",
                )  # fmt: skip
            if look + 1 < LOOKS:
                await asyncio.sleep(PAUSE)
        raise StepFailed("The name is taken, by an organization that this credential does not see.")

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Make it."""
        try:
            oid = await work.cloud.create_organization(work.target, str(work.arguments["region"]))
        except Invalid as error:
            if work.trouble or work.step.intent is not None:
                # An earlier one that nobody heard of again may have arrived in the meantime.
                raise Ambiguous(str(error)) from error
            raise
        return {"oid": oid}

    def keep(self, c: Connection, work: Work) -> None:
        """Know it from now on."""
        row = {"oid": work.oid, "name": work.target, "region": str(work.made.get("site", ""))}
        there = c.execute(select(_ORGANIZATION.c.oid).where(_ORGANIZATION.c.oid == work.oid)).first()
        if there is None:
            ingest.put_organizations(c, [row], complete=False, now=work.clock())


async def _named(work: Work) -> OrganizationRow | None:
    """The organization of this name among those that the credential sees."""
    for part in (work.target, ""):
        async for page in work.cloud.organizations(part):
            for row in page:
                if row.name == work.target:
                    return row
    return None


class Place(Verb):
    """Give the organization its node, with labels, parameters and marks."""

    name = "node.place"
    here = True

    async def check(self, work: Work) -> Seen:
        """Whether it stands there like that."""

        def look() -> TreeNode | None:
            with work.store.reader.reading() as c:
                return next((node for node in stored_tree(c) if node.oid == work.oid), None)

        node = await asyncio.to_thread(look)
        fact = None if node is None else {"node": node.id, "parent": node.parent}
        made = None if node is None else {"node": node.id}
        return Seen(node is not None and node == _placed(node, work), fact, made=made)

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Put it there."""

        def put(c: Connection) -> str:
            nodes = stored_tree(c)
            if not nodes:
                nodes = [ROOT]
                add_node(c, nodes[0])
            there = next((node for node in nodes if node.oid == work.oid), None)
            wanted = str(work.arguments["node"]) or id_for(work.target, {node.id for node in nodes})
            node = _placed(there or TreeNode(wanted, nodes[0].id, work.target, work.oid), work)
            if node.parent not in {each.id for each in nodes}:
                raise StepFailed(f"The tree has no node {str(node.parent)[:60]!a} any more.")
            if there is None and node.id in {each.id for each in nodes}:
                raise StepFailed(f"The tree has another node {node.id[:60]!a} by now.")
            replace_tree(c, [*(each for each in nodes if each.oid != work.oid), node])
            detail = {"parent": node.parent, "labels": node.labels, "marks": list(node.marks),
                      "parameters": node.parameters}  # fmt: skip
            journal.append(c, actor(), "tree.add", work.oid, node.id, {"after": detail}, now=work.clock())
            sla.forget(c)
            sla.restate(c, work.oid)
            return node.id

        return {"node": await work.write(put)}


def _placed(node: TreeNode, work: Work) -> TreeNode:
    """A node as the step wants it; what it does not speak of stays."""
    said = work.arguments
    return TreeNode(
        node.id,
        str(said["parent"]) or node.parent,
        node.name,
        node.oid,
        {**node.labels, **said["labels"]},
        {**node.parameters, **said["parameters"]},
        (*node.marks, *(mark for mark in said["marks"] if mark not in node.marks)),
        node.line,
    )


class Freeze(Verb):
    """Mark the organization's node frozen, once all else is done: nobody could carry on with what is."""

    name = "node.freeze"
    here = True

    async def check(self, work: Work) -> Seen:
        """Whether it is."""

        def look() -> tuple[TreeNode | None, list[str]]:
            with work.store.reader.reading() as c:
                node = next((node for node in stored_tree(c) if node.oid == work.oid), None)
                before = [
                    each for each in kept.steps(c, work.run.id, work.step.item) if each.seq < work.step.seq
                ]
            return node, [
                str(each.words)
                for each in before
                if each.outcome not in kept.GOOD and not each.verb.startswith("smoke.")
            ]

        node, undone = await asyncio.to_thread(look)
        if undone:
            raise StepFailed(f"Not frozen before this is done: {undone[0]}.")
        if node is None:
            raise StepFailed("The organization has no place in the tree.")
        return Seen("frozen" in node.marks, {"marks": list(node.marks)})

    async def send(self, work: Work) -> None:
        """Mark it."""

        def put(c: Connection) -> None:
            node = next((node for node in stored_tree(c) if node.oid == work.oid), None)
            if node is None:
                raise StepFailed("The organization has no place in the tree.")
            mark_node(c, node.id, add=["frozen"])
            journal.append(c, actor(), "tree.mark", work.oid, node.id, {"add": ["frozen"]}, now=work.clock())

        await work.write(put)


class Assign(Verb):
    """Lay a template on the organization's own node."""

    name = "template.assign"
    here = True

    async def check(self, work: Work) -> Seen:
        """Whether it is laid there."""

        def look() -> bool:
            with work.store.reader.reading() as c:
                node = work.made_by("node.place").get("node", "")
                return any(each.node == node for each in library.assignments(c, work.target))

        return Seen(fulfilled=await asyncio.to_thread(look))

    async def send(self, work: Work) -> None:
        """Lay it there."""

        def put(c: Connection) -> None:
            node = str(work.made_by("node.place")["node"])
            try:
                library.assign(c, node, work.target, by=work.operator, now=work.clock())
            except library.UnknownTemplate:
                raise StepFailed("The template is not in the store any more.") from None
            journal.append(
                c, actor(), "template.assign", work.oid, work.target, {"node": node}, now=work.clock()
            )

        await work.write(put)


class Document(Verb):
    """Keep whom to call and when."""

    name = "customer.document"
    here = True

    async def check(self, work: Work) -> Seen:
        """Whether the documentation says all of it."""

        def look() -> Mapping[str, Any]:
            with work.store.reader.reading() as c:
                return customers.plain(customers.customer(c, work.oid))

        said = await asyncio.to_thread(look)
        return Seen(all(said.get(name) == value for name, value in work.arguments["document"].items()))

    async def send(self, work: Work) -> None:
        """Write it; what else is kept stays."""

        def put(c: Connection) -> None:
            whole = {**customers.plain(customers.customer(c, work.oid)), **work.arguments["document"]}
            customers.put(c, work.oid, customers.from_plain(whole), by=work.operator, now=work.clock())

        await work.write(put)


class AddToGroup(Verb):
    """Let a group hold for the organization."""

    name = "group.add-organization"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"access": ("*",)}

    async def check(self, work: Work) -> Seen:
        """Whether the group holds it."""
        group = await work.cloud.group(work.target)
        held = any(each.get("org_id") == work.oid for each in group.get("orgs", ()))
        return Seen(held, {"held": held})

    async def send(self, work: Work) -> None:
        """Put it into the group."""
        await work.cloud.add_group_organization(work.target, work.oid)


class SetRecord(Verb):
    """Write a record that the layers of the organization's node bring."""

    name = "record.set"
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {"configuration": ("*",)}

    async def check(self, work: Work) -> Seen:
        """Whether the record is as the layers have it now."""
        wanted = await asyncio.to_thread(_wanted, work)
        current = await records.read(work.handle, wanted.record.section, wanted.record.name)
        if current is None:
            return Seen(fulfilled=False, fact={"there": False})
        fact = {"there": True, "etag": current.etag}
        return Seen(_is_so(work, wanted, current), fact, made=wanted.owned)

    async def send(self, work: Work) -> Mapping[str, Any]:
        """Write it."""
        wanted = await asyncio.to_thread(_wanted, work)
        record = wanted.record
        current = await records.read(work.handle, record.section, record.name)
        await records.write(work.handle, record.section, record.name, record.body, record.metadata, current)
        return wanted.owned

    def keep(self, c: Connection, work: Work) -> None:
        """Remember which template it is of, so that a rollout knows it."""
        section, name = str(work.arguments["section"]), str(work.arguments["name"])
        where = (_OWNED.c.oid == work.oid) & (_OWNED.c.section == section) & (_OWNED.c.name == name)
        c.execute(_OWNED.delete().where(where))
        # What was written or read: the layers may be others by now.
        owned = {column: work.made[column] for column in ("template", "version", "hash", "metadata")}
        c.execute(
            _OWNED.insert().values(
                oid=work.oid, section=section, name=name, plan_id=0, at=work.clock(), **owned
            )
        )


@dataclass(frozen=True)
class _Wanted:
    """A record as the layers have it, filled in."""

    record: Record
    owned: Mapping[str, Any]
    """{template, version, hash, metadata} of it, as `template_owned` keeps them."""
    key: bytes
    """The installation's redaction key."""


def _wanted(work: Work) -> _Wanted:
    """What the layers have; in a thread, for a keyring may be slow.

    Raises:
        StepFailed: they do not bring it any more, or the key is not to be had.
    """
    with work.store.reader.reading() as c:
        found = library.effective_of(c, work.oid)
        if found.blocked:
            raise StepFailed(f"The layers of the organization cannot be applied: {found.blocked[0]}")
        at = (str(work.arguments["section"]), str(work.arguments["name"]))
        if at not in found.records:
            raise StepFailed("The layers of the organization do not bring this record any more.")
        wanted = found.records[at]
        template = wanted.origins[-1].layer
        (stored,) = library.listed(c, [template])
    record, key = wanted.record, work.key()
    metadata = None if record.metadata is None else normalised_metadata(record.metadata)
    content = wanted_hash(record.section, record.name, record.body, key)
    owned = {"template": template, "version": stored.version, "hash": content, "metadata": metadata}
    return _Wanted(record, owned, key)


def _is_so(work: Work, wanted: _Wanted, current: records.Current) -> bool:
    metadata = wanted.owned["metadata"]
    if metadata is not None and metadata != dict(current.metadata):
        return False
    if current.body is None:
        # Nobody reads a secret back; that it is ours is told by its having been sent.
        return work.sent
    content: str = wanted.owned["hash"]
    return current.hash(wanted.record.section, wanted.record.name, wanted.key) == content


VERBS = (Create(), Place(), Freeze(), Assign(), Document(), AddToGroup(), SetRecord())
