"""Another model answers while Coze is away, and only then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from coze.errors import is_outage
from sandbox.completions import KEY, LocalModel, create_app
from sandbox.serve import Server
from tests.rig import Rig
from texts import Texts


@pytest.fixture
def model() -> LocalModel:
    return LocalModel(pause=1.5)


@pytest.fixture
def rig(open_rig: Callable[..., Rig], model: LocalModel) -> Iterator[Rig]:
    with Server(create_app(model)) as server:
        yield open_rig(
            fallback_api_base=f"{server.url}/v1",
            fallback_api_key=KEY,
            fallback_model="local",
            fallback_prompt="你是客服。",
        )


def say(rig: Rig, text: str, user: str = "u") -> dict[str, object]:
    answer: dict[str, object] = rig.post("/api/chat", json={"message": text, "user_id": user}).json()
    return answer


def stream(rig: Rig, text: str) -> list[tuple[str, str]]:
    response = rig.post("/api/chat/stream", json={"message": text, "user_id": "u"})
    frames = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
    return [(frame["type"], frame["content"]) for frame in frames]


def break_coze(rig: Rig, times: int = 1) -> None:
    for _ in range(times):
        rig.coze.faults.queue("http_status", on="chat", status=500)


def test_the_other_model_answers_with_the_dialogue_before_it(rig: Rig, model: LocalModel) -> None:
    first = say(rig, "我叫张三")
    break_coze(rig)
    assert say(rig, "我叫什么")["message"] == "备用模型收到：我叫什么"
    [asked] = model.requests
    assert asked["model"] == "local"
    assert asked["messages"] == [
        {"role": "system", "content": "你是客服。"},
        {"role": "user", "content": "我叫张三"},
        {"role": "assistant", "content": first["message"]},
        {"role": "user", "content": "我叫什么"},
    ]
    row = rig.log()[0]
    assert (row["source"], row["error_code"], row["status"]) == ("fallback", None, "delivered")
    assert [row["source"] for row in rig.log(source="fallback")] == ["fallback"]


def test_its_answer_is_streamed_piece_by_piece(rig: Rig, model: LocalModel) -> None:
    model.pace = 0.05
    break_coze(rig)
    frames = stream(rig, "在吗，请问现在几点")
    assert len(frames) > 3
    assert frames[-1][0] == "done"
    assert (
        "".join(content for kind, content in frames if kind == "message")
        == "备用模型收到：在吗，请问现在几点"
    )


def test_while_coze_answers_nobody_else_is_asked(rig: Rig, model: LocalModel) -> None:
    assert say(rig, "你好")["success"]
    assert model.requests == []


@pytest.mark.parametrize("fault", ["empty_answer", "chat_failed"])
def test_what_is_no_outage_is_left_as_it_is(rig: Rig, model: LocalModel, fault: str) -> None:
    options = {"code": 4105} if fault == "chat_failed" else {}
    rig.coze.faults.queue(fault, on="chat", **options)
    assert not say(rig, "你好")["success"]
    assert model.requests == []


def test_an_answer_that_coze_began_is_not_given_twice(rig: Rig, model: LocalModel) -> None:
    rig.coze.faults.queue("chat_failed", on="chat", code=5000, after=2)
    kinds = [kind for kind, _ in stream(rig, "讲个故事")]
    assert kinds.count("message") >= 1
    assert model.requests == []


def test_a_message_costs_no_more_calls_to_coze_than_without_it(rig: Rig, model: LocalModel) -> None:
    for _ in range(10):
        rig.coze.faults.queue("http_status", on="chat", status=503)
    assert say(rig, "你好")["success"]
    assert sum(each.path == "/v3/chat" for each in rig.coze.requests) <= 4
    assert len(model.requests) == 1


@pytest.mark.parametrize("fault", ["500", "429", "empty", "error", "html"])
def test_when_it_fails_as_well_the_customer_gets_one_apology(rig: Rig, model: LocalModel, fault: str) -> None:
    break_coze(rig)
    model.faults.append(fault)
    answer = say(rig, "你好")
    assert (answer["success"], answer["error"]) == (False, Texts().apology)
    [row] = rig.log()
    assert (row["source"], row["error_code"]) == ("coze", "coze_http_500")


def test_an_answer_that_breaks_off_says_so(rig: Rig, model: LocalModel) -> None:
    break_coze(rig)
    model.faults.append("cut")
    say(rig, "你好")
    [row] = rig.log()
    assert row["answer"] == f"备用模型\n{Texts().interrupted}"
    assert (row["source"], row["error_code"], row["truncated"]) == ("fallback", "fallback_truncated", True)


def test_one_document_instead_of_a_stream_will_do(rig: Rig, model: LocalModel) -> None:
    break_coze(rig)
    model.faults.append("whole")
    assert say(rig, "你好")["message"] == "备用模型收到：你好"


def test_a_model_that_says_nothing_is_given_up(
    open_rig: Callable[..., Rig], model: LocalModel, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(create_app(model)) as server:
        rig = open_rig(
            fallback_api_base=server.url + "/v1/chat/completions",
            fallback_api_key=KEY,
            fallback_model="local",
            fallback_timeout=0.3,
        )
        break_coze(rig)
        model.faults.append("silent")
        model.pause = 50.0
        started = time.monotonic()
        assert not say(rig, "你好")["success"]
        assert time.monotonic() - started < 20


def test_a_refused_key_is_not_quoted_anywhere(
    open_rig: Callable[..., Rig], model: LocalModel, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "sk-a-secret-that-nobody-may-read"
    with Server(create_app(model)) as server:
        rig = open_rig(fallback_api_base=f"{server.url}/v1", fallback_api_key=secret, fallback_model="local")
        break_coze(rig)
        answer = say(rig, "你好")
        logged = capfd.readouterr().err
    assert "fallback_http_401" in logged
    assert secret not in json.dumps(answer) + logged + repr(rig.app.extensions["yingda"].settings)


@pytest.mark.parametrize(
    ("name", "outage"),
    [
        ("coze_timeout", True),
        ("coze_resting", True),
        ("coze_http_502", True),
        ("coze_http_599", True),
        ("coze_http_429", False),
        ("coze_5000", True),
        ("coze_4016", False),
        ("coze_4105", False),
        ("coze_empty", False),
        ("coze_", False),
        ("queue_full", False),
        ("too_many_calls", False),
    ],
)
def test_which_causes_are_an_outage(name: str, outage: bool) -> None:
    assert is_outage(name) is outage
