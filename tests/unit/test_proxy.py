"""Calls of NinjaOne that are passed on: what is allowed, what is sent, what goes back, and what is sent again."""

import base64
import gzip
import json
import random
from dataclasses import replace
from typing import Any

import httpx
import pytest

from broker import proxy_policy
from broker.adapters.queues import RefreshBatch, Trigger
from broker.config import Config
from broker.edge.http import Request
from broker.edge.proxy import MAX_BODY_BYTES, passed, proxied_call
from broker.edge.wiring import Broker, Ports
from broker.errors import CallRefused, CallUnanswered, InvalidRequest, NotJson, ProviderDown, TooLarge
from broker.flows.proxy import ProxiedCall
from broker.model import ConnectionState, Seconds
from ninjaone_emulator import NinjaOne
from ninjaone_emulator.faults import Fault
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.events import CALLER, event
from tests.support.journey import ref
from tools.requirements import req

ANYTHING = "* GET,POST,PUT,PATCH,DELETE /v2/*"


def call(path: str = "v2/organizations", method: str = "GET", **changes: Any) -> ProxiedCall:
    """Read a call out of an event whose path was decoded by API Gateway."""
    made = event("GET /v1", **changes)
    made["requestContext"]["http"]["method"] = method
    made["pathParameters"] = {"path": path}
    return proxied_call(Request.from_event(made, body_limit=MAX_BODY_BYTES))


def allowing(rules: str, config: Config, ports: Ports) -> Broker:
    return Broker(replace(config, proxy_policy=proxy_policy.read(rules)), ports)


@pytest.fixture
def proxying(config: Config, ports: Ports) -> Broker:
    """A broker whose operator allows everything below /v2."""
    return allowing(ANYTHING, config, ports)


# What is allowed ----------------------------------------------------------------------------------------------------


ROLE = "arn:aws:sts::123456789012:assumed-role/tickets/*"


@pytest.mark.parametrize(
    ("rule", "method", "path", "allowed"),
    [
        ("* GET /v2/*", "GET", "/v2/devices", True),
        ("* GET /v2/*", "HEAD", "/v2/devices/1/disks", True),
        ("* GET /v2/*", "POST", "/v2/devices", False),
        ("* GET /v2/*", "GET", "/v2", False),
        ("* GET /v2/*", "GET", "/v3/devices", False),
        ("* POST /v2/*", "HEAD", "/v2/devices", False),
        ("* PUT,POST /v2/ticketing/ticket", "PUT", "/v2/ticketing/ticket", True),
        ("* PUT,POST /v2/ticketing/ticket", "PUT", "/v2/ticketing/ticket/1", False),
        ("* GET /v2/device/*/disks", "GET", "/v2/device/7/disks", True),
        ("* GET /v2/device/*/disks", "GET", "/v2/device/7/8/disks", False),
        ("* GET /v2/device/*/disks", "GET", "/v2/device/7/script/run", False),
        ("* GET /v2/a.b", "GET", "/v2/aXb", False),
        (f"{CALLER} GET /v2/*", "GET", "/v2/devices", True),
        (f"{ROLE} GET /v2/*", "GET", "/v2/devices", False),
        (f"{ROLE} GET /v2/*; * GET /v2/users", "GET", "/v2/users", True),
    ],
)
def test_a_rule_allows_callers_methods_and_paths(rule: str, method: str, path: str, allowed: bool) -> None:
    found = [each for each in proxy_policy.read(rule) if each.is_for(CALLER)]

    assert any(each.allows(method, path, secure_values=False) for each in found) is allowed


@pytest.mark.parametrize("rule", ["GET,DELETE /v2/*", "PUT /v2/device/*/x showSecureValues"])
def test_a_rule_is_shown_as_it_was_written(rule: str) -> None:
    assert [str(each) for each in proxy_policy.read(f"* {rule}")] == [rule]


@pytest.mark.parametrize(
    "query",
    [
        "showSecureValues=true", "x=1&SHOWSECUREVALUES=1", "show%53ecureValues=true&a", "x;showsecurevalues",
        "a=1&showSecureValues=false&showSecureValues=true", "show_secure-values=1", "show%00SecureValues=1",
        "%C5%BFhowSecureValues=1", "%EF%BD%93howSecureValues=1", "+showSecureValues=1", "showSecureValues%5B%5D=1",
        "a=b%26showSecureValues=1", "showSecure%E2%80%8BValues=1", "show%2553ecureValues=1",
    ],
)  # fmt: skip
def test_secrets_are_shown_only_where_a_rule_names_them(
    query: str, config: Config, ports: Ports, state: ConnectionState, network: NinjaOneTransport
) -> None:
    with pytest.raises(CallRefused):
        allowing("* GET /v2/*", config, ports).proxy(ref(state), call(query=query))
    assert network.requests == []

    allowing("* GET /v2/* showSecureValues", config, ports).proxy(ref(state), call(query=query))
    assert network.requests[0].url.query.decode() == query


def test_a_refusal_names_the_rules_that_hold_for_the_caller(
    config: Config, ports: Ports, state: ConnectionState, network: NinjaOneTransport, lines: LogLines
) -> None:
    broker = allowing(f"{ROLE} DELETE /v2/*; * GET /v2/users", config, ports)

    with pytest.raises(CallRefused, match=r"Allowed are: GET /v2/users\.") as refused:
        broker.proxy(ref(state), call())
    assert "DELETE" not in refused.value.detail
    assert network.requests == []
    (line,) = lines.named("proxy.called")
    assert (line["status"], line["error"]) == (0, "CallRefused")


# What is sent -------------------------------------------------------------------------------------------------------


ODD = [
    "", "v2", "v2/", "v1/devices", "V2/devices", "v22/devices", "api", "api/v2", "api/v2/", "api/api/v2/x", "Api/v2/x",
    "v2//devices", "v2/devices/", "v2/../ws/oauth/token", "v2/./devices", "v2/..", "v2/a/../../x", "/v2/devices",
    "v2/%2e%2e/x", "v2/a%2fb", "v2/a;b=c", "v2/a\\b", "v2/a?b", "v2/a#b", "v2/a\nb", "v2/a\x00b", "v2/a\x7fb",
    "v2/\uff0e\uff0e/x", "v2/\u2025/x", "v2/\u2024./x", "v2/.. /x", "v2/\u3000../x", "v2/.\u200b./x", "v2/ /x",
    "v2/a\uff0fb", "v2/a\uff3cb", "v2/a\uff1fb", "v2/a\uff03b", "v2/a\uff05b", "v2/a\uff1bb", "v2/\ufffd\ufffdws",
    "v2/a\ud800b",     "\uff56\uff12/devices", "v2/a\u2028b", "v2/a\u202eb",
    "v2/" + "a" * 2000, "https://evil.example/v2/x", "v2:@evil.example/x", "../v2/x",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD)
def test_a_path_that_can_be_read_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        call(path)
    assert [fault.field for fault in refused.value.faults] == ["path"]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("v2/a\u3000b", "/v2/a%E3%80%80b"),
        ("v2/a\u00a0b", "/v2/a%C2%A0b"),
        ("v2/devices", "/v2/devices"),
        ("api/v2/devices", "/api/v2/devices"),
        ("v2/a b/ü", "/v2/a%20b/%C3%BC"),
        ("v2/a@b:c", "/v2/a%40b%3Ac"),
        ("v2/...", "/v2/..."),
        ("v2/evil.example", "/v2/evil.example"),
        ("v2/" + "a" * 1997, "/v2/" + "a" * 1997),
    ],
)
def test_the_rule_and_the_address_are_of_one_path(path: str, target: str) -> None:
    read = call(path)

    assert (read.rule_path, read.target) == ("/" + path.removeprefix("api/"), target)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND", ""])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(InvalidRequest, match="faults"):
        call(method=method)


@pytest.mark.parametrize(
    "query",
    [
        "_method=DELETE", "a=1&_METHOD=PUT", "%5fmethod=PUT", "a=#b", "a b", "a" * 8001, "ä", "a=1;_method=PUT",
        "_method", "%EF%BC%BFmethod=PUT", "_metho%00d=PUT", "+_method=PUT", "a=1%26_method=PUT",
        "X-HTTP-Method-Override=PUT",
        "x_http_method_override=PUT", "methodOverride=PUT", "httpMethod=PUT", "X-Method-Override=PUT",
        "x-http-method=PUT", "_method[]=PUT", "_method%5Bx%5D=PUT", "%255Fmethod=PUT", "access_token=mine",
        "a=1&access%25255Ftoken=mine", "ACCESS_TOKEN",
    ],
)  # fmt: skip
def test_a_query_that_may_change_the_call_is_refused(query: str) -> None:
    made = event("GET /v1") | {"rawQueryString": query, "pathParameters": {"path": "v2/x"}}
    with pytest.raises(InvalidRequest) as refused:
        proxied_call(Request.from_event(made))
    assert [fault.field for fault in refused.value.faults] == ["query"]


@pytest.mark.parametrize(
    "query",
    [
        "method=x",
        "filter=_method",
        "df=status%20eq%20APPROVED",
        "df=name%20eq%20%27100%25%27",
        "a=%zz&b=%2F",
        "token=x",
        "secure=1&values=2",
    ],
)
def test_another_query_passes_as_it_is(query: str) -> None:
    assert (read := call(query=query)).query == query
    assert not read.secure_values


@req("Q02")
@pytest.mark.parametrize(
    ("kind", "body", "fault"),
    [
        ("application/x-www-form-urlencoded", "a=1", "content-type"),
        ("application/json, APPLICATION/X-WWW-FORM-URLENCODED;charset=utf-16", "a=1", "content-type"),
        ("multipart/form-data; boundary=b", 'Content-Disposition: form-data; name="_method"\r\n\r\nDELETE', "query"),
        ("Multipart/Mixed; boundary=b", "content-disposition: form-data; NAME = _METHOD\r\n\r\nDELETE", "query"),
        (
            "multipart/form-data; boundary=b",
            "Content-Disposition: form-data; name*=utf-8''%5Fmethod\r\n\r\nPUT",
            "query",
        ),
        ("multipart/form-data; boundary=b", 'Content-Disposition: form-data; name="=?utf-8?B?X21ldGhvZA==?="', "query"),
        ("multipart/form-data; boundary=b", 'Content-Disposition: form-data; name="_\x00method"', "query"),
    ],
)
def test_a_form_that_may_change_the_call_is_refused(kind: str, body: str, fault: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        call(method="POST", body=body, headers={"content-type": kind})
    assert [each.field for each in refused.value.faults] == [fault]


def test_a_body_that_is_no_form_may_hold_what_a_form_may_not() -> None:
    body = json.dumps({"script": "Content-Disposition: form-data; name=_method"})

    assert call(method="POST", body=body, headers={"content-type": "application/json"}).body == body.encode()


def test_a_form_with_files_passes_and_asks_for_no_secrets_unseen() -> None:
    part = 'Content-Disposition: form-data; name="{}"; filename="_method.txt"\r\n\r\nshowSecureValues _method=PUT'
    kind = {"content-type": "multipart/form-data; boundary=b"}

    assert not call(method="POST", body=part.format("comment"), headers=kind).secure_values
    assert call(method="POST", body=part.format("showSecureValues"), headers=kind).secure_values


@pytest.mark.parametrize("name", ["accept", "content-type", "if-match", "range"])
@pytest.mark.parametrize("value", ["é", "a\nb", "a\x00", "a" * 4001])
def test_a_header_that_can_t_be_sent_is_the_caller_s_to_change(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        call(headers={name: value})
    assert [fault.field for fault in refused.value.faults] == [name]


def test_the_call_goes_to_the_connection_s_host_with_its_token_and_few_headers(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    sent = {
        "accept": "application/json", "if-match": '"7"', "authorization": "AWS4-HMAC-SHA256 x", "cookie": "a=b",
        "host": "evil.example", "x-forwarded-host": "evil.example", "x-http-method-override": "DELETE",
        "connection": "close", "x-amz-date": "now", "forwarded": "for=1", "accept-encoding": "gzip",
        "range": "bytes=0-1",
    }  # fmt: skip
    network.answer(200, b"{}", content_type="application/json")

    proxying.proxy(ref(state), call("v2/tickets", "POST", query="a=%2F&b", headers=sent, body={"x": 1}))

    (request,) = network.requests
    assert (request.method, str(request.url)) == ("POST", "https://eu.ninjarmm.com/v2/tickets?a=%2F&b")
    assert json.loads(request.content) == {"x": 1}
    assert request.headers["authorization"].startswith("Bearer ")
    assert request.headers.keys() == {
        "host", "user-agent", "accept", "accept-encoding", "content-type", "content-length", "if-match", "range",
        "authorization", "connection",
    }  # fmt: skip
    assert (request.headers["host"], request.headers["accept-encoding"]) == ("eu.ninjarmm.com", "identity")
    assert request.headers["connection"] == "keep-alive"


# What goes back -----------------------------------------------------------------------------------------------------


def test_an_answer_passes_with_few_headers_and_a_mark_and_never_the_token(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    network.answer(
        404, b"[1]", content_type="application/json", etag='"7"', link="<x>", set_cookie="a=b", server="nginx",
        location="https://evil.example", connection="close", access_control_allow_origin="*",
    )  # fmt: skip

    answer = passed(proxying.proxy(ref(state), call())).to_event()

    token = network.requests[0].headers["authorization"].removeprefix("Bearer ")
    assert (answer["statusCode"], base64.b64decode(answer["body"]), answer["isBase64Encoded"]) == (404, b"[1]", True)
    assert answer["headers"]["x-ninjaone-connect"] == "passed"
    assert {"etag", "link", "content-type"} <= answer["headers"].keys()
    assert (
        not {"set-cookie", "server", "location", "connection", "access-control-allow-origin"} & answer["headers"].keys()
    )
    assert token not in json.dumps(answer)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500, 502, 503])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_ninjaone_says_is_passed_on_as_it_is_and_sent_once(
    status: int, method: str, proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    network.answer(status, b"{}", content_type="application/json", retry_after="7")

    answer = proxying.proxy(ref(state), call(method=method))

    assert (answer.status, answer.headers["retry-after"], len(network.requests)) == (status, "7", 1)


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_page_in_place_of_json_is_told_with_its_status(
    status: int, config: Config, ports: Ports, state: ConnectionState, network: NinjaOneTransport, clock: Clock
) -> None:
    proxying = allowing(ANYTHING, config, ports)
    network.answer(status, b"<html>", content_type="text/html; charset=utf-8")

    with pytest.raises(NotJson, match=f"answered {status} with a page"):
        proxying.proxy(ref(state), call())

    for kind in ("application/json", "Application/Problem+JSON", "text/json; charset=utf-8"):
        network.answer(status, b" \n<!DOCTYPE html><p>", content_type=kind)
        with pytest.raises(NotJson):
            proxying.proxy(ref(state), call())

    network.answer(200, b"<html>", content_type="application/octet-stream")
    assert proxying.proxy(ref(state), call()).body == b"<html>"

    network.answer(200, b"<html>", content_type="text/html")
    assert proxying.proxy(ref(state), call(headers={"accept": "text/html"})).body == b"<html>"


def test_a_large_body_passes_and_a_larger_one_does_not(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    network.answer(200, b"x" * MAX_BODY_BYTES)
    answer = passed(proxying.proxy(ref(state), call())).to_event()
    assert len(json.dumps(answer)) < 6 * 1024 * 1024

    network.answer(200, b"x" * (MAX_BODY_BYTES + 1))
    with pytest.raises(TooLarge):
        proxying.proxy(ref(state), call())


def test_a_request_s_body_has_the_same_bound() -> None:
    made = event("GET /v1") | {"isBase64Encoded": True, "pathParameters": {"path": "v2/x"}}
    made["requestContext"]["http"]["method"] = "PUT"

    assert len(read_body(made, MAX_BODY_BYTES)) == MAX_BODY_BYTES
    with pytest.raises(TooLarge):
        read_body(made, MAX_BODY_BYTES + 1)


def read_body(made: dict[str, Any], size: int) -> bytes:
    body = base64.b64encode(b"x" * size).decode()
    return proxied_call(Request.from_event(made | {"body": body}, body_limit=MAX_BODY_BYTES)).body


PACKED = base64.b64decode("H4sIAAAAAAACA6tWMlSyMtRRMlKyMqoFAGzc7I8NAAAA")
"""{"1":1,"2":2} and gzip."""


@pytest.mark.parametrize(
    ("status", "coding", "sent", "body", "told"),
    [
        (200, "gzip", PACKED, b'{"1":1,"2":2}', None),
        (200, "X-GZIP, identity", PACKED, b'{"1":1,"2":2}', None),
        (200, "br", b"\x0b\x02\x80{}\x03", b"\x0b\x02\x80{}\x03", "br"),
        (200, "gzip, br", b"packed twice", b"packed twice", "gzip, br"),
        (206, "gzip", PACKED[:9], PACKED[:9], "gzip"),
    ],
)
def test_a_coding_is_undone_or_told(
    status: int, coding: str, sent: bytes, body: bytes, told: str | None,
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport,
) -> None:  # fmt: skip
    network.answer(status, sent, content_type="application/json", content_encoding=coding)

    answer = passed(proxying.proxy(ref(state), call()))

    assert (answer.status, answer.body, answer.headers.get("content-encoding")) == (status, body, told)


def test_what_was_cut_off_while_packed_is_too_large(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    """What can't be packed gets longer by it: cut off behind the limit and unpacked, it would fit and be short."""
    packed = gzip.compress(random.Random(1).randbytes(MAX_BODY_BYTES))
    assert len(packed) > MAX_BODY_BYTES

    network.answer(200, packed, content_encoding="gzip")
    with pytest.raises(TooLarge):
        proxying.proxy(ref(state), call())


@pytest.mark.parametrize(
    "headers", [{"location": "https://evil.example/v2/x"}, {"location": "/ws/oauth/token"}, {"refresh": "0;url=//x"}]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_or_passed_on(
    status: int, headers: dict[str, str], proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    network.answer(status, b"", **headers)

    answer = passed(proxying.proxy(ref(state), call()))

    assert (answer.status, len(network.requests)) == (status, 1)
    assert not headers.keys() & answer.headers.keys()


def test_a_header_that_api_gateway_could_not_take_is_left_out(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    whole = {
        b"content-disposition": "attachment; filename=é.pdf".encode("latin-1"),
        b"link": b"<x>; a=" + b"b" * 4000,
        b"etag": b'"7"',
    }
    network.canned.append(lambda _: httpx.Response(200, headers=whole, stream=httpx.ByteStream(b"x")))

    answer = passed(proxying.proxy(ref(state), call()))

    assert answer.headers["etag"] == '"7"'
    assert not {"content-disposition", "link"} & answer.headers.keys()


# What is sent again -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_after_a_401_a_call_is_sent_once_more_with_another_token(
    method: str, proxying: Broker, state: ConnectionState, network: NinjaOneTransport, clock: Clock
) -> None:
    clock.advance(60)
    network.answer(401, b"{}", content_type="application/json")
    batch = RefreshBatch(Trigger.URGENT, (ref(state),), Seconds(6), 1)
    clock.plan(3, lambda: proxying.refresh(batch, clock.left(180)))

    answer = proxying.proxy(ref(state), call(method=method, path="v2/organizations"))

    calls = [each for each in network.requests if each.url.path == "/v2/organizations"]
    assert len(calls) == 2
    assert calls[0].headers["authorization"] != calls[1].headers["authorization"]
    assert answer.status in {200, 404}


def test_a_401_that_no_newer_token_answers_is_passed_on(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    network.answer(401, b"{}", content_type="application/json")

    assert proxying.proxy(ref(state), call()).status == 401
    assert len(network.requests) == 1


@pytest.mark.parametrize(
    ("method", "query", "times"),
    [
        ("GET", "", 2), ("HEAD", "", 2), ("POST", "", 1), ("DELETE", "", 1), ("GET", "pageSize=9&after=3", 2),
        ("GET", "pageSize=9&cursor=c", 1), ("GET", "%63ursor=c", 1), ("GET", "Cursor=c", 1),
    ],
)  # fmt: skip
def test_only_what_reads_and_moves_no_cursor_is_sent_again_after_no_answer(
    method: str, query: str, times: int, proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    for _ in range(times):
        network.fail(httpx.ReadError)

    with pytest.raises(CallUnanswered):
        proxying.proxy(ref(state), call(method=method, query=query))
    assert len(network.requests) == times


def test_a_host_that_is_not_reached_is_told_apart(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport
) -> None:
    network.fail(httpx.ConnectError)

    with pytest.raises(ProviderDown):
        proxying.proxy(ref(state), call(method="POST"))


def test_everything_together_ends_within_twenty_five_seconds(
    proxying: Broker, state: ConnectionState, ninjaone: NinjaOne, clock: Clock
) -> None:
    ninjaone.faults.plan(Fault("slow", on="api", times=None, seconds=100))
    began = clock.now()

    with pytest.raises(CallUnanswered):
        proxying.proxy(ref(state), call())
    assert clock.now() - began <= 25


# What is written down -----------------------------------------------------------------------------------------------


@req("Q05")
def test_each_call_writes_one_line_and_one_figure(
    proxying: Broker, state: ConnectionState, network: NinjaOneTransport, lines: LogLines
) -> None:
    network.answer(201, b"[1, 2]", content_type="application/json")
    proxying.proxy(ref(state), call("v2/a b", "POST", query="name=someone"))
    proxying.log.flush()

    (line,) = lines.named("proxy.called")
    assert (line["method"], line["path"], line["status"], line["bytes"]) == ("POST", "/v2/a%20b", 201, 6)
    assert "milliseconds" in line
    assert "someone" not in json.dumps(line)
    assert [each["proxied_2xx"] for each in lines if "proxied_2xx" in each] == [[1.0]]
