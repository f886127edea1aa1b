"""When nobody is there: the customer is told when somebody will be, the desk gets a mail, the bot goes on."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import self_signed
from tests.support.conftest import World
from tests.support.post_office import PostOffice
from texts import Texts

texts = Texts()
SATURDAY = datetime.fromisoformat("2026-11-21T20:00:00+08:00").timestamp()


@pytest.fixture
def office() -> Iterator[PostOffice]:
    opened = PostOffice()
    yield opened
    opened.close()


@pytest.fixture
def closed(open_world: Callable[..., World], office: PostOffice) -> Callable[..., World]:
    def start(**settings: Any) -> World:
        own = {
            "human_shift_start": "09:00",
            "human_shift_end": "18:00",
            "weekends_disabled": True,
            "smtp_host": "127.0.0.1",
            "smtp_port": office.port,
            "smtp_security": "plain",
            "smtp_sender": "desk@example.com",
            "smtp_recipients": "a@example.com,b@example.com",
            "smtp_timeout": 2.0,
        }
        world = open_world(**{**own, **settings})
        world.yingda.desk.desk.clock = lambda: SATURDAY
        return world

    return start


def trouble(world: World) -> list[tuple[str, str]]:
    return [(each.job.status, each.job.error or "") for each in world.yingda.jobs.troubled()]


def test_a_mail_with_the_transcript_goes_out_and_the_bot_goes_on(
    closed: Callable[..., World], office: PostOffice
) -> None:
    world = closed()
    world.ask("<script>alert(1)</script> & 订单")
    told = world.ask("转人工").json()["message"]
    assert told == texts.after_hours.format(opens="11月23日 09:00")
    assert world.ask("你好").json()["success"] is True
    again = world.post("/api/manual/escalate", session_name="v1")
    assert (again["email_sent"], again["is_in_shift"], again["queue_num"]) == (True, False, 0)
    assert again["data"]["status"] == "after_hours_email"
    assert world.session("v1")["mail"] == {"sent": False, "email_to": ["a@example.com", "b@example.com"]}
    world.run_jobs()
    assert world.session("v1")["mail"]["sent"] is True
    (mail,) = office.mails
    assert office.recipients == ["a@example.com", "b@example.com"]
    assert "v1" in mail["Subject"]
    plain, rich = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert "客户：<script>alert(1)</script> & 订单" in plain.get_content()
    assert "<script>" not in rich.get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 订单" in rich.get_content()
    status = world.get("/api/shift/status", "")
    assert (status["is_in_shift"], status["opens_at"]) == (False, SATURDAY + 37 * 3600)
    assert world.get("/api/shift/config", "")["shift_start"] == "09:00"


def test_an_address_that_the_customer_leaves_is_kept_and_mailed(
    closed: Callable[..., World], office: PostOffice
) -> None:
    world = closed()
    assert world.ask("me@example.com").json()["message"] != texts.email_noted
    world.ask("转人工")
    assert "邮箱" in texts.after_hours
    world.run_jobs()
    assert (office.mails[0]["Reply-To"], world.session("v1")["user_profile"]["email"]) == (None, "")
    assert world.ask(" li.lei@example.com").json()["message"] == texts.email_noted
    assert world.ask("li.lei@example.com").json()["message"] == texts.email_noted
    world.run_jobs()
    assert [mail["Reply-To"] for mail in office.mails] == [None, "li.lei@example.com"]
    shown = world.get("/api/sessions/v1")
    assert shown["session"]["user_profile"]["email"] == "li.lei@example.com"
    noted = [
        (each["operator"], each["details"]) for each in shown["audit_trail"] if each["action"] == "profile"
    ]
    assert noted == [("customer", {"email": "set"})]
    # in a longer message it is noted, and the bot answers the message
    told = world.ask("我换了邮箱 other@example.com，请问怎么退货").json()["message"]
    assert told != texts.email_noted
    assert world.session("v1")["user_profile"]["email"] == "other@example.com"
    world.run_jobs()
    assert len(office.mails) == 2


def test_a_page_can_hand_in_the_address_with_the_request(
    closed: Callable[..., World], office: PostOffice
) -> None:
    world = closed()
    world.ask("你好")
    refused = {"session_name": "v1", "email": "a@b.cc\r\nBcc: x@y.zz"}
    assert world.refused("POST", "/api/manual/escalate", json=refused)[0] == 400
    asked = world.post("/api/manual/escalate", session_name="v1", email="li.lei@example.com")
    assert asked["data"]["user_profile"]["email"] == "li.lei@example.com"
    world.run_jobs()
    (mail,) = office.mails
    assert mail["Reply-To"] == "li.lei@example.com"
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert "邮箱：li.lei@example.com" in plain.get_content()


def test_a_hostile_name_cannot_write_headers(closed: Callable[..., World], office: PostOffice) -> None:
    world = closed()
    user = "v\r\nBcc: evil@example.com"
    world.ask("转人工", user)
    world.run_jobs()
    (mail,) = office.mails
    assert mail["Bcc"] is None
    assert office.recipients == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize(
    ("verb", "answer", "status", "error"),
    [
        ("RCPT", "550 no such user", "failed", "smtp_550"),
        ("MAIL", "451 later", "waiting", "smtp_451"),
        ("EHLO", "421 busy", "waiting", "smtp_"),
    ],
)
def test_a_refusal_is_repeated_or_shown(
    closed: Callable[..., World], office: PostOffice, verb: str, answer: str, status: str, error: str
) -> None:
    world = closed()
    world.ask("转人工")
    office.answers.extend([(verb, answer), (verb.replace("EHLO", "HELO"), answer)])
    world.run_jobs()
    found = world.yingda.jobs.get(1)
    assert found is not None
    assert found.job.status == status
    assert str(found.job.error).startswith(error)
    assert office.mails == []


def test_a_mail_of_which_nobody_knows_whether_it_was_taken_is_in_doubt(
    closed: Callable[..., World], office: PostOffice
) -> None:
    world = closed()
    world.ask("转人工")
    office.hangs_up = True
    world.run_jobs()
    assert trouble(world)[0][0] == "in_doubt"


def test_tls_is_used_and_a_certificate_that_nobody_vouches_for_is_refused(
    closed: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "mail.pem"
    certificate.write_bytes(self_signed("127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    office = PostOffice(context)
    try:
        world = closed(smtp_security="tls", smtp_port=office.port)
        world.ask("转人工")
        world.run_jobs()
        found = world.yingda.jobs.get(1)
        assert found is not None
        assert (found.job.status, found.job.error) == ("waiting", "smtp: SSLCertVerificationError")
        assert office.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        world.yingda.jobs.db.transact(
            lambda session: setattr(session.get(type(found.job), found.job.id), "due_ms", 0)
        )
        world.run_jobs()
        assert len(office.mails) == 1
    finally:
        office.close()


def test_without_a_mail_server_the_customer_is_told_all_the_same(closed: Callable[..., World]) -> None:
    world = closed(smtp_host="")
    assert world.ask("转人工").json()["message"] == texts.after_hours.format(opens="11月23日 09:00")
    assert world.post("/api/manual/escalate", session_name="v1")["email_sent"] is False
