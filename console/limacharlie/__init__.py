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

`Cloud`: `who()`, `organizations()`, `groups()`, `group(gid)`, `organization(oid)`, `stats`, `limits`.
A handle reads: `record()`, `urls()`, `org_value(name)`, `usage()`, `errors()`, `quota_usage()`,
`online()`, `mitre()`; `users()`, `permissions()`, `keys()`; `hive(name)`, `outputs()`,
`installation_keys()`, `subscriptions()`, `resources()`, `service_rules(service)`,
`fetch_infrastructure()`; `sensors()` (pages), `detections(...)`, `detection(id)`, `audit(...)`.

Everything raises `errors.LimaCharlieError`: `Auth`, `Denied`, `Gone`, `Conflict`, `Throttled`,
`Unavailable`, `Ambiguous`, `Protocol`, `Network`, `Invalid`; `kind` is the same in one word. An
answer that is damaged is an error, never an empty one.

`client` and `transport` import aiohttp (160 ms); `errors`, `credentials` and `endpoint` do not.
"""
