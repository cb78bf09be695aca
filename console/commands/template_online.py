"""`limegrove template test --online`: what LimaCharlie itself has against the records of files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from console.commands.session import Problem, Session, shown
from console.commands.template_lint import document_root

if TYPE_CHECKING:
    from store.templates.documents import Record

UNASKED: Final = "not asked"
"""The outcome of a record about which the cloud could not be asked."""


def validated(session: Session, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Have every hive record of documents and rule files validated in one organization; nothing is stored.

    Secrets are left out: their content is not sent to be looked at.

    Args:
        paths: what includes, and what stands alone; files that others include come with those.

    Returns:
        A row for each record, of the kind `online`.
    """
    from console.operations.templates import Refused, read_one
    from store.templates.effective import Layer, effective
    from store.templates.library import values_of

    oid = session.organization(session.arguments.org)
    with session.reader.reading() as connection:
        values = values_of(connection, oid)
    records: dict[tuple[Path, str, str], Record] = {}
    taken: set[Path] = set()
    read = []
    for path in paths:
        root = document_root(path, session.arguments.root)
        made = read_one(path, root)
        if made is None or isinstance(made, Refused):
            continue  # said by the tests here
        read.append((root, made))
        taken |= {(root / each).resolve() for each in made.files if each != made.main}
    for root, template in read:
        if (root / template.main).resolve() in taken:
            continue
        filled = effective([Layer("", "", template.main, template)], values)
        if filled.missing:
            raise Problem(f"{shown(template.main)}: {filled.blocked[0]}", code=2)
        for (section, name), wanted in filled.records.items():
            if section.startswith("hive/") and section != "hive/secret":
                records[root / wanted.record.place.file, section, name] = wanted.record
    said = session.run(_ask(session, oid, list(records.values())))
    return [
        {
            "file": str(file),
            "rule": f"{section[5:]}/{name}",
            "kind": "online",
            "outcome": outcome,
            "why": why,
            "tests": [],
            "warnings": [],
        }
        for (file, section, name), (outcome, why) in zip(records, said, strict=True)
    ]


async def _ask(session: Session, oid: str, records: Sequence["Record"]) -> list[tuple[str, str]]:
    import asyncio

    from console.limacharlie.errors import LimaCharlieError
    from console.limacharlie.hive import HiveMetadata

    gate = asyncio.Semaphore(8)

    async with session.cloud() as cloud:
        handle = cloud.organization(oid)

        async def one(record: "Record") -> tuple[str, str]:
            held: Mapping[str, Any] = record.metadata or {}
            metadata = HiveMetadata(
                enabled=held.get("enabled") is True,
                expiry=held.get("expiry") or 0,
                tags=tuple(held.get("tags") or ()),
                comment=held.get("comment") or "",
                others={},
            )
            try:
                async with gate:
                    why = await handle.validate_hive_record(
                        record.section[5:], record.name, record.body, metadata
                    )
            except LimaCharlieError as error:
                return UNASKED, str(error)
            return ("refused", why) if why else ("pass", "")

        return list(await asyncio.gather(*(one(each) for each in records)))
