"""LimaCharlie's API: tokens, limits, faults, typed answers.

    from console.limacharlie.client import Cloud
    from console.limacharlie.credentials import OrganizationKey, Secret, UserKey
    from console.limacharlie.endpoint import Endpoint

    async with Cloud(UserKey(uid, Secret(key)), Endpoint.limacharlie()) as cloud:
        async for page in cloud.organizations():       # [OrganizationRow(oid, name, region, ...)]
            for row in page:
                handle = cloud.organization(row.oid)   # the only way to one organization
                page = await handle.detections(start, end)   # .records: [bytes], .next_cursor
                rules = await handle.hive("dr-general")      # {key: HiveRecord(body, metadata, ...)}

Each subject has its module: `organizations`, `access` (users, groups, keys), `hive`, `configuration`
(outputs, installation keys, add-ons, older services, infrastructure as code), `extensions`, `sensors`,
`insight` (detections, events, audit), `cases`, `search` (and replay), `billing`. `Cloud` has what is the
credential's own (`who`, `organizations`, `groups`, `cases` over many organizations), a handle the rest.

Reads are repeated while that may help. A change is sent exactly once; when its outcome is unclear, or
its answer has not the shape of a success, it is `Ambiguous`: read back before anything else.

    record = await handle.hive_record("dr-general", key)
    metadata = msgspec.structs.replace(HiveMetadata.of(record), enabled=False)
    await handle.set_hive_record("dr-general", key, record.body, metadata, record.etag)

A record is written under the etag that was read (or ABSENT: then it is read first) and with the whole of
its metadata; what it is after that is known by reading it again. What the API cannot do under an etag
(remove and rename records, groups' permissions, installation keys, cases) says so in its docstring.

Everything raises `errors.LimaCharlieError`: `Auth`, `Denied`, `Gone`, `Conflict`, `Throttled`,
`Unavailable`, `Ambiguous`, `Protocol`, `Network`, `Invalid`; `kind` is the same in one word. An
answer that is damaged is an error, never an empty one.

`client` and `transport` import aiohttp (160 ms); `errors`, `credentials` and `endpoint` do not.
"""
