"""Robots: one from the environment, and any number from a TOML file; each is an account of its own."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from flask import Request
from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator

from adapters.base import bearer_token, is_allowed_address
from adapters.outbound import Host
from adapters.shape import Shape
from adapters.signing import same
from errors import ConfigurationError, Forbidden, NotFound, Unauthorized
from settings import WEAK, Settings

MsgType = Literal["text", "image", "file"]
DEFAULT = "default"


class Robot(Shape):
    """One robot of 易事厅's console as the adapter sees it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Part of its paths, and the account of its messages."""
    token: SecretStr | None = None
    allowed_ips: tuple[str, ...] = ()
    callback_hosts: tuple[str, ...] = ()
    callback_url: str = Field("", repr=False)
    msg_types: frozenset[MsgType] = frozenset({"text"})
    file_hosts: tuple[str, ...] = ()

    @field_validator("allowed_ips")
    @classmethod
    def _addresses_can_be_read(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for each in addresses:
            ipaddress.ip_network(each, strict=False)
        return addresses

    @field_validator("callback_hosts", "file_hosts")
    @classmethod
    def _hosts_can_be_read(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for each in hosts:
            Host.parse(each)
        return hosts


class Robots:
    """Every robot; the one of the environment is `default`, and answers on the paths without a name."""

    def __init__(self, settings: Settings) -> None:
        self._open = settings.development
        self.default = _robot(
            {
                "name": DEFAULT,
                "token": settings.yishiting_token,
                "allowed_ips": settings.yishiting_allowed_ips,
                "callback_hosts": (*settings.yishiting_callback_hosts, *_sandbox(settings)),
                "callback_url": settings.yishiting_callback_url,
                "msg_types": settings.yishiting_msg_types,
                "file_hosts": settings.yishiting_file_hosts,
            },
            "YISHITING_{}",
        )
        others = [] if settings.yishiting_robots_file is None else _read(settings.yishiting_robots_file)
        self._by_name = {each.name: each for each in (self.default, *others)}
        if len(self._by_name) != 1 + len(others):
            raise ConfigurationError(
                "YISHITING_ROBOTS_FILE: two robots have the same name, or one is `default`"
            )
        self._check(others)

    def __iter__(self) -> Iterator[Robot]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Robot | None:
        return self._by_name.get(name)

    def admit(self, request: Request) -> Robot:
        """The robot that this request is for, by the path's name or by its token.

        Raises `NotFound` for a name nobody has, `Unauthorized` without a token where one is needed, and
        `Forbidden` for a wrong one or an address that is not listed.
        """
        given = _given(request)
        name = (request.view_args or {}).get("robot")
        robot = self._chosen(given) if name is None else self._by_name.get(name)
        if robot is None:
            raise NotFound("there is no such robot")
        if not (robot.token or robot.allowed_ips or self._open):
            raise Forbidden("set YISHITING_TOKEN or YISHITING_ALLOWED_IPS to open this endpoint")
        if robot.allowed_ips and not is_allowed_address(request.remote_addr, robot.allowed_ips):
            raise Forbidden("this address is not in YISHITING_ALLOWED_IPS")
        if robot.token is not None:
            if not given:
                raise Unauthorized("a token is needed: Authorization: Bearer <token>, or ?token=")
            if not same(robot.token.get_secret_value(), given):
                raise Forbidden("the token is not YISHITING_TOKEN")
        return robot

    def _chosen(self, given: str) -> Robot:
        # every token is compared, so that the time it takes tells nothing
        fitting = [
            each
            for each in self._by_name.values()
            if each.token is not None and same(each.token.get_secret_value(), given)
        ]
        return fitting[0] if fitting else self.default

    def _check(self, others: Sequence[Robot]) -> None:
        tokens = [each.token.get_secret_value() for each in self._by_name.values() if each.token is not None]
        if len(set(tokens)) != len(tokens):
            raise ConfigurationError("YISHITING_ROBOTS_FILE: two robots have the same token")
        for each in others:
            token = "" if each.token is None else each.token.get_secret_value()
            if each.token is not None and not self._open and (len(token) < 16 or token in WEAK):
                raise ConfigurationError(
                    f"YISHITING_ROBOTS_FILE: the token of {each.name} is weak: 16 characters at least"
                )


def _sandbox(settings: Settings) -> Sequence[str]:
    # the local desk, which shows late answers while everything is tried out
    return (f"127.0.0.1:{settings.sandbox_wechat_port}",) if settings.sandbox_wechat else ()


def _given(request: Request) -> str:
    try:
        return request.args.get("token") or bearer_token(request)
    except Unauthorized:
        return ""


def _read(path: Path) -> list[Robot]:
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("robot", [])
    except (OSError, ValueError) as problem:
        raise ConfigurationError(
            f"YISHITING_ROBOTS_FILE: cannot be read as TOML ({type(problem).__name__})"
        ) from None
    if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
        raise ConfigurationError("YISHITING_ROBOTS_FILE: needs at least one [[robot]]")
    return [_robot(each, f"YISHITING_ROBOTS_FILE: {each.get('name', '?')}: {{}}") for each in entries]


def _robot(entry: dict[str, object], where: str) -> Robot:
    """Raises `ConfigurationError`, which names the setting and never its value."""
    try:
        return Robot.model_validate(entry)
    except ValidationError as problem:
        lines = [f"{where.format(str(each['loc'][0]).upper())}: {each['msg']}" for each in problem.errors()]
        raise ConfigurationError("\n".join(lines)) from None
