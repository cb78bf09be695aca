"""Outputs: where an organization's data goes."""

from collections.abc import Mapping
from typing import Any

from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.organizations import Organization

MODULES = frozenset(
    (
        "s3", "gcs", "pubsub", "bigquery", "scp", "sftp", "slack", "syslog", "webhook", "webhook_bulk",
        "smtp", "humio", "kafka", "azure_storage_blob", "azure_event_hub", "elastic", "tines", "torq",
        "datadog", "opensearch", "websocket", "telegram", "ms_teams", "live_stream",
    )
)  # fmt: skip
"""As go-limacharlie (output.go) lists them; there is no endpoint that does."""
STREAMS = frozenset(("event", "detect", "audit", "deployment", "artifact", "tailored", "billing"))


def output_of(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """An output as it is kept and read.

    The stream is called `type` in writing and `for` in reading. All values are text, booleans are "true"
    and "false", and an empty text is nothing; only `acl_scopes` is a list.

    Raises:
        Refusal: 400, for an unknown module or stream.
    """
    if not name:
        raise Refusal(400, "missing parameter name")
    module, stream = options.get("module"), options.get("type") or options.get("for")
    if not isinstance(module, str) or module not in MODULES:
        raise Refusal(400, f"unknown output module {module}" if module else "missing parameter module")
    if not isinstance(stream, str) or stream not in STREAMS:
        raise Refusal(400, f"unknown output type {stream}" if stream else "missing parameter type")
    found: dict[str, Any] = {"name": name, "module": module, "for": stream}
    for option, value in options.items():
        if option in ("name", "module", "type", "for", "oid") or value is None:
            continue
        if option == "acl_scopes":
            scopes = value if isinstance(value, list) else str(value).split(",")
            found[option] = [str(scope) for scope in scopes if scope]
        elif isinstance(value, list | dict):
            raise Refusal(400, f"bad parameter {option}: it takes text")
        elif isinstance(value, bool):
            found[option] = "true" if value else "false"
        elif str(value):
            text = str(value)
            found[option] = text.lower() if option.startswith("is_") else text
    return found


def put_output(call: Call, one: Organization, output: dict[str, Any]) -> None:
    """Put an output, in place of the one that is called so, under the caller's identity."""
    call.world.configuration.set_output(one, output["name"], output)
    _note(call, one, output["name"], "set")


def drop_output(call: Call, one: Organization, name: str) -> None:
    """Remove an output under the caller's identity."""
    call.world.configuration.set_output(one, name, None)
    _note(call, one, name, "removed")


def _note(call: Call, one: Organization, name: str, done: str) -> None:
    call.record(one, "config_change", f"output {name} {done}", entity={"type": "output", "name": name})


@table.add("GET", "/v1/outputs/{oid}")
def outputs(call: Call) -> object:
    """Outputs by name, below the oid."""
    one = call.organization("output.list")
    return {one.oid: call.world.configuration.outputs(one)}


@table.add("POST", "/v1/outputs/{oid}")
def create(call: Call) -> object:
    """Put an output."""
    one = call.organization("output.set")
    sent: dict[str, Any] = {
        name: values if name == "acl_scopes" else values[0]
        for name, values in {**call.query, **call.form}.items()
    }
    output = output_of((sent.get("name") or "").strip(), sent)
    put_output(call, one, output)
    return output


@table.add("DELETE", "/v1/outputs/{oid}")
def delete(call: Call) -> object:
    """Remove an output."""
    one = call.organization("output.del")
    name = call.either("name")
    if not name:
        raise Refusal(400, "missing parameter name")
    if name not in call.world.configuration.outputs(one):
        raise not_found()
    drop_output(call, one, name)
    return {}
