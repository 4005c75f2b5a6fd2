"""The two ways to send a request are one to whoever receives it, and what comes back is read alike."""

import asyncio
import socket

import pytest
from conftest import KEY
from kit.peer import GOOD, completion, peer

from curation.asking import direct, sdk, transport
from curation.asking.requests import Request, endpoint
from curation.prompting import load

WAYS = {"direct": direct.Direct, "sdk": sdk.Sdk}
PROMPT = load("standard")
ASKED = Request("generate", "x", PROMPT, PROMPT.messages(pert="A", gene="B\u00e9\U0001f600", cell_line="K562"), 2)
PARAMS = {"reasoning_effort": "medium", "max_completion_tokens": 500, "temperature": 0.5, "stop": ["a", "b"]}


def ask(way, url, times=1, timeout=1.0):
    """What is read of the replies of a number of requests, one after the other."""
    target = endpoint("m", PARAMS, base_url=url)._replace(key=KEY, price={"input": 1.0, "output": 2.0})

    async def work():
        async with WAYS[way](target) as wire:
            return [await transport.send(wire, target, ASKED, timeout) for _ in range(times)]

    return asyncio.run(work())


@pytest.mark.parametrize("organisation", [None, "org-1"])
def test_both_send_the_same(monkeypatch, organisation):
    if organisation:
        monkeypatch.setenv("OPENAI_ORG_ID", organisation)
        monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-2")
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        replies = [ask(way, url)[0] for way in WAYS]
    one, other = asked
    assert one["body"] == other["body"] and one["path"] == other["path"] == "/v1/chat/completions"
    assert one["body"] == {"model": "m", "messages": ASKED.messages, **PARAMS}
    for name in ("Authorization", "Content-Type", "OpenAI-Organization", "OpenAI-Project"):
        assert one["headers"][name] == other["headers"][name]
    assert one["headers"]["Authorization"] == f"Bearer {KEY}"
    assert one["headers"]["OpenAI-Organization"] == organisation
    assert alike(replies[0]) == alike(replies[1])


def alike(reply):
    """A reply without what is another each time."""
    return (
        {k: v for k, v in reply.columns.items() if k not in ("seconds", "detail")},
        reply.wait,
        bool(reply.columns.get("detail")),
    )


def refusal(status, code=None, **headers):
    return status, {"error": {"message": "no", "code": code}}, {k.replace("_", "-"): v for k, v in headers.items()}


SAID = {
    "answer": ((200, GOOD, {}), None),
    "surrogate": ((200, b'{"choices": [{"message": {"content": "\\ud800 x"}}]}', {}), None),
    "empty": ((200, completion(""), {}), None),
    "refusal": ((200, completion(None, message={"refusal": "No."}), {}), None),
    "filtered": ((200, completion("x", choice={"finish_reason": "content_filter"}), {}), "content_filter"),
    "400": (refusal(400), "bad_request"),
    "too long": (refusal(400, "context_length_exceeded"), "too_long"),
    "filter": (refusal(400, "content_filter"), "content_filter"),
    "401": (refusal(401), "refused"),
    "403": (refusal(403), "refused"),
    "404": (refusal(404, "model_not_found"), "unknown_model"),
    "408": (refusal(408), "server_error"),
    "409": (refusal(409), "server_error"),
    "413": (refusal(413), "too_long"),
    "429": (refusal(429, retry_after="3"), "rate_limit"),
    "429 ms": (refusal(429, retry_after_ms="250", retry_after="1"), "rate_limit"),
    "quota": (refusal(429, "insufficient_quota"), "quota"),
    "quota by its type": ((429, {"error": {"message": "no", "type": "exceeded_current_quota_error"}}, {}), "quota"),
    "no balance": (refusal(429, "insufficient_balance"), "quota"),
    "hard limit": (refusal(400, "billing_hard_limit_reached"), "quota"),
    "402": (refusal(402, "invalid_request_error"), "quota"),
    "407": ((407, b"Proxy Authentication Required", {"Content-Type": "text/plain"}), "refused"),
    "500": (refusal(500), "server_error"),
    "502": ((502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}), "server_error"),
    "529": (refusal(529), "server_error"),
    "redirect": ((307, {}, {"Location": "http://127.0.0.1:1/"}), "redirected"),
    "html": ((200, b"<html>busy</html>", {"Content-Type": "text/html"}), "not_a_completion"),
    "half": ((200, b'{"choices": [', {}), "not_a_completion"),
    "no choices": ((200, {"choices": []}, {}), "not_a_completion"),
    "cut": ("cut", "connection"),
    "hang": ("hang", "timeout"),
}


@pytest.mark.parametrize("kind", SAID)
def test_both_read_alike(kind):
    said, failure = SAID[kind]
    with peer(lambda n, body: said) as (url, _):
        one, other = (ask(way, url, timeout=0.5)[0] for way in WAYS)
    assert one.failure == other.failure == failure
    assert alike(one) == alike(other)
    assert KEY not in str(one) + str(other)


def unread():
    """An address where connections are taken by the system and never by a program, until it takes no more."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(listening.getsockname())
    return listening, waiting


@pytest.mark.parametrize("way", WAYS)
def test_what_never_left_is_told_from_what_was_cut(monkeypatch, way):
    monkeypatch.setattr(direct, "CONNECT", 0.2)
    monkeypatch.setattr(sdk, "CONNECT", 0.2)
    taken = unread()
    full = f"http://127.0.0.1:{taken[0].getsockname()[1]}/v1"
    for url in ("http://127.0.0.1:9/v1", "http://model.invalid/v1", full):
        (reply,) = ask(way, url, timeout=5.0)
        assert (reply.failure, bool(reply.columns["detail"])) == ("unreachable", True)
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        assert ask(way, url.replace("http", "https"))[0].failure == "unreachable", "no TLS, so nothing was sent"
        monkeypatch.setenv("https_proxy", url.removesuffix("/v1"))
        assert ask(way, "https://model.invalid/v1")[0].failure == "unreachable", "a proxy that makes no tunnel"
    assert asked == []


def test_an_answer_beyond_all_measure_is_not_read_to_its_end(monkeypatch):
    for module in (direct, transport.read.__globals__):
        monkeypatch.setitem(module if isinstance(module, dict) else vars(module), "LARGEST", 10_000)
    with peer(lambda n, body: (200, completion("x" * 100_000), {})) as (url, _):
        assert [ask(way, url)[0].failure for way in WAYS] == ["too_large", "too_large"]


def test_a_proxy_in_the_environment_is_taken(monkeypatch):
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        monkeypatch.setenv("http_proxy", url.removesuffix("/v1"))
        for way in WAYS:
            assert ask(way, "http://model.invalid/v1")[0].failure is None
    assert [a["path"] for a in asked] == ["http://model.invalid/v1/chat/completions"] * 2


def test_a_proxy_is_not_taken_for_what_the_environment_leaves_out(monkeypatch):
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
        assert [ask(way, url)[0].failure for way in WAYS] == [None, None]


def test_a_model_in_the_config_chooses_the_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = endpoint("m", base_url="http://127.0.0.1:1/v1")
    assert isinstance(transport.open_wire(target), direct.Direct)
    (tmp_path / "synthpert.toml").write_text('[models.m]\nclient = "sdk"\n')
    assert isinstance(transport.open_wire(target), sdk.Sdk)
