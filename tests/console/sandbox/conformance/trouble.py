"""Errors: what the client makes of each, how often it asks, and what it exits with."""

from aiohttp import web

from console.sandbox.calls import Call
from console.sandbox.server import Answer
from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

INFO, JWT = "GET /v1/orgs/{oid}", "POST /"


class Answers:
    """A fault: the first answers to one endpoint are these, the others its own."""

    def __init__(self, path: str, *first: tuple[int, dict[str, str]], body: object = None) -> None:
        self.path = path
        self.first = list(first)
        self.body = {"error": "trouble"} if body is None else body
        self.asked = 0
        self.tokens = 0

    async def __call__(self, call: Call, answer: Answer) -> web.StreamResponse:
        self.tokens += call.method == "POST" and call.raw_path == "/"
        if not call.raw_path.startswith(self.path):
            return await answer()
        self.asked += 1
        if not self.first:
            return await answer()
        status, headers = self.first.pop(0)
        return web.json_response(self.body, status=status, headers=headers)


@probe({INFO: "name", JWT: "jwt"})
def a_401_is_answered_with_a_second_token(it: Stage) -> None:
    trouble = Answers(f"/v1/orgs/{it.one.oid}", (401, {}))
    with it.fault(trouble):
        assert it.json("org", "info")["name"] == it.one.name
    assert (trouble.asked, trouble.tokens) == (2, 2)


@probe({INFO: "name"})
def a_second_401_is_final_and_ends_with_2(it: Stage) -> None:
    trouble = Answers(f"/v1/orgs/{it.one.oid}", (401, {}), (401, {}))
    with it.fault(trouble):
        said = it.run("org", "info")
    assert (said.code, trouble.asked, trouble.tokens) == (2, 2, 2)
    assert it.json("org", "info")["name"] == it.one.name


@probe({INFO: "name"})
def a_gateway_timeout_is_asked_again_after_one_and_two_seconds(it: Stage) -> None:
    trouble = Answers(f"/v1/orgs/{it.one.oid}", (504, {}), (504, {}))
    with it.fault(trouble):
        answer = it.sdk_whatever("org.get_info()")
    assert answer["value"]["name"] == it.one.name
    assert (trouble.asked, answer["slept"]) == (3, [1, 2])


@probe({INFO: "name"})
def too_many_requests_end_with_5_and_say_how_long_to_wait(it: Stage) -> None:
    with it.fault(Answers(f"/v1/orgs/{it.one.oid}", (429, {"Retry-After": "7"}))):
        said = it.run("org", "info")
    assert said.code == 5
    assert "7 seconds" in said.everything
    with it.fault(Answers(f"/v1/orgs/{it.one.oid}", (429, {"Retry-After": "7"}))):
        assert it.sdk_whatever("org.get_info()")["retry_after"] == 7
    assert it.json("org", "info")["name"] == it.one.name


@probe({INFO: "name"})
def each_status_has_its_exit_code(it: Stage) -> None:
    for status, code in ((400, 1), (403, 2), (404, 3), (409, 1), (422, 4), (500, 1), (502, 1), (503, 1)):
        trouble = Answers(f"/v1/orgs/{it.one.oid}", (status, {}))
        with it.fault(trouble):
            said = it.run("org", "info")
        assert (said.code, trouble.asked) == (code, 1)
        assert "trouble" in said.everything
    assert it.json("org", "info")["name"] == it.one.name


@probe({INFO: "error"})
def the_sandbox_itself_limits_a_credential(it: Stage) -> None:
    key = it.world.access.keys(it.spare(40))[0]
    who = {"LC_UID": "", "LC_API_KEY": key.secret, "LC_OID": it.spare(40).oid}
    assert it.run("org", "info", **who).code == 0
    quota, it.sandbox.rate_quota = it.sandbox.rate_quota, 1
    try:
        said = it.run("org", "info", **who)
    finally:
        it.sandbox.rate_quota = quota
    assert said.code == 5
    assert "rate limit exceeded" in said.everything
    assert "seconds and retry" in said.everything
