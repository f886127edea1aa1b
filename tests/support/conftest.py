"""A whole gateway with its desk, and agents who are signed in by a header."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from flask import request

from app import Yingda, create_app
from errors import Forbidden, Unauthorized
from sandbox.coze import LocalCoze
from sandbox.coze import create_app as create_coze
from sandbox.desk import LocalDesk, create_desk
from sandbox.serve import Server
from sandbox.wechat import LocalWeChat
from sandbox.wechat import create_app as create_wechat
from settings import Settings
from storage.audit import By
from storage.db import Database
from support.agent import Agent, Role
from support.rights import Action, allows

OPENID = "oCustomer-0123456789abcdefgh"
SECRET = "an-app-secret-of-these-tests"
AES_KEY = "yingdaSandbox0yingdaSandbox0yingdaSandbox0A"
AGENTS = {
    "wang": Agent(1, "wang", "小王", "agent"),
    "li": Agent(2, "li", "小李", "agent"),
    "chen": Agent(3, "chen", "陈主管", "supervisor"),
    "gu": Agent(4, "gu", "客人", "guest"),
}
TIMEOUT = (2, 30)


class ByHeader:
    """Signs in whoever the header names."""

    def agent(self, *roles: Role) -> Agent:
        agent = AGENTS.get(request.headers.get("X-Agent", ""))
        if agent is None:
            raise Unauthorized("nobody is signed in")
        if roles and agent.role not in roles:
            raise Forbidden("this role may not")
        return agent

    def entitled(self, action: Action, own: bool | None = None) -> Agent:
        agent = self.agent()
        if not allows(agent.role, action, own):
            raise Forbidden("this role may not")
        return agent


@dataclass
class World:
    """The gateway at `url`, and everybody around it."""

    yingda: Yingda
    url: str
    coze: LocalCoze
    wechat: LocalWeChat
    callbacks: LocalDesk
    callback_url: str

    def call(self, method: str, path: str, agent: str = "", **options: Any) -> requests.Response:
        headers = {"X-Agent": agent} if agent else {}
        return requests.request(method, self.url + path, headers=headers, timeout=TIMEOUT, **options)

    def post(self, path: str, agent: str = "", **body: Any) -> dict[str, Any]:
        response = self.call("POST", path, agent, json=body)
        assert response.status_code in {200, 201}, (response.status_code, response.text)
        found: dict[str, Any] = response.json()
        return found

    def get(self, path: str, signed_in: str = "wang", **query: Any) -> dict[str, Any]:
        response = self.call("GET", path, signed_in, params=query)
        assert response.status_code == 200, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    def refused(self, method: str, path: str, agent: str = "", **options: Any) -> tuple[int, str]:
        response = self.call(method, path, agent, **options)
        assert response.json()["success"] is False
        return response.status_code, response.json()["detail"]

    def session(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/api/sessions/{name}")["session"]
        return found

    def history(self, name: str) -> list[tuple[str, str]]:
        return [(each["role"], each["content"]) for each in self.session(name)["history"]]

    def say(self, name: str, content: str, agent: str = "wang") -> dict[str, Any]:
        body = {"session_name": name, "role": "agent", "content": content}
        data: dict[str, Any] = self.post("/api/manual/messages", agent, **body)["data"]
        return data

    def ask(self, message: str, user: str = "v1") -> requests.Response:
        return self.call("POST", "/api/chat", json={"message": message, "user_id": user})

    def run_jobs(self) -> int:
        """Does what is due, until nothing is; returns how many jobs that were."""
        number = 0
        while jobs := self.yingda.jobs.claim(self.yingda.runner.owner):
            for job in jobs:
                self.yingda.runner.do(job)
            number += len(jobs)
        return number


@pytest.fixture
def open_world(db: Database, make_settings: Callable[..., Settings]) -> Iterator[Callable[..., World]]:
    """Starts a gateway, a Coze, a WeChat and a receiver of callbacks; keyword arguments are settings.

    `guard=None` has agents sign in as they do.
    """
    with ExitStack() as stack:

        def start(**settings: object) -> World:
            from flask import Flask

            coze = LocalCoze()
            upstream = stack.enter_context(Server(create_coze(coze)))
            wechat = LocalWeChat("", appsecret=SECRET, aes_key=AES_KEY, verified=True)
            api = stack.enter_context(Server(create_wechat(wechat)))
            callbacks, receiver = LocalDesk(), Flask("receiver")
            receiver.register_blueprint(create_desk(callbacks))
            there = stack.enter_context(Server(receiver))
            own = {
                "coze_api_base": upstream.url,
                "coze_api_token": "pat_yingda-sandbox",
                "coze_bot_id": "7000000000000000001",
                "wechat_token": wechat.token,
                "wechat_appid": wechat.appid,
                "wechat_appsecret": SECRET,
                "wechat_aes_key": AES_KEY,
                "wechat_account_kind": "verified",
                "wechat_api_base": api.url,
                "yishiting_callback_hosts": there.url.removeprefix("http://"),
            }
            guard: Any = settings.pop("guard", ByHeader())
            app = create_app(make_settings(**{**own, **settings}), guard)
            yingda: Yingda = app.extensions["yingda"]
            accounts = yingda.people.agents
            for each in AGENTS.values():
                if accounts.get(each.username) is None:
                    known = {"username": each.username, "name": each.name, "role": each.role}
                    made = accounts.add(By("test"), **known, password_hash="-", max_sessions=5)
                    assert made.agent == each
                    accounts.set_status(By("test"), each, "online")
            stack.callback(yingda.close)
            url = stack.enter_context(Server(app)).url
            wechat.callback_url = f"{url}/api/wechat"
            return World(yingda, url, coze, wechat, callbacks, f"{there.url}/_desk/callback")

        yield start


@pytest.fixture
def world(open_world: Callable[..., World]) -> World:
    return open_world()
