"""Which conversation of Coze a dialogue goes on in, and what happens when it is busy, lost or full."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from coze.bot import customer_name
from sandbox.coze import LocalCoze
from storage.models import DialogueSession
from tests.coze.world import TEXTS, Follower, World, posts


def test_different_dialogues_have_different_names() -> None:
    def name(*who: str) -> str:
        fields = dict(zip(("platform", "account", "user_id", "session_key"), who, strict=True))
        return customer_name(DialogueSession(**fields))

    names = {
        name("web", "a", "b", "c"),
        name("web", "ab", "", "c"),
        name("web", "a", "bc", ""),
        name("x", "a", "b", "c"),
    }
    assert len(names) == 4
    assert all(each.isascii() and len(each) <= 64 for each in names)


def test_the_conversation_is_kept_and_sent(world: World, coze: LocalCoze) -> None:
    world.ask()
    conversation = world.session.conversation_id
    assert (world.sink.names[0][0], world.session.conversation_owner) == (conversation, "pat")
    world.ask("再问")
    assert dict(coze.requests[-1].query) == {"conversation_id": conversation}


def test_the_conversation_coze_answers_with_is_the_one_kept(world: World, coze: LocalCoze) -> None:
    world.ask()
    first = world.session.conversation_id
    coze.faults.queue("other_conversation_id")
    world.ask()
    assert world.session.conversation_id == world.sink.names[1][0] != first


def test_a_busy_conversation_is_waited_for(world: World, coze: LocalCoze) -> None:
    for _ in range(3):
        coze.faults.queue("error_event", code=4016, alone=1)
    assert world.ask().error is None
    assert world.sink.calls == 4
    assert world.sink.refusals == 3, "a call that began no chat is taken back"


def test_a_conversation_busy_until_the_deadline_is_told_politely(world: World, coze: LocalCoze) -> None:
    for _ in range(60):
        coze.faults.queue("code", code=4016)
    reply = world.ask(seconds=0.5)
    assert (reply.text, reply.error) == (TEXTS.busy, "coze_4016")
    assert world.sink.calls > 2
    assert not posts(coze, "/v3/chat/cancel")


@pytest.mark.parametrize("code", [4002, 4200, 4101])
def test_a_lost_conversation_is_replaced(world: World, coze: LocalCoze, code: int) -> None:
    world.ask()
    lost = world.session.conversation_id
    coze.faults.queue("code", code=code)
    assert world.ask().error is None
    assert dict(coze.requests[-1].query) == {}
    assert world.session.conversation_id not in {lost, None}


def test_a_conversation_that_coze_does_not_know_is_replaced(world: World) -> None:
    world.sessions.remember(world.session_id, "7399999999999999999", "pat")
    assert world.ask().error is None
    assert world.session.conversation_id != "7399999999999999999"


@pytest.mark.parametrize("shape", ["code", "chat_failed"])
def test_a_conversation_that_is_too_long_is_replaced_once(world: World, coze: LocalCoze, shape: str) -> None:
    world.ask()
    world.sink = Follower()
    coze.faults.queue(shape, code=4010)
    assert world.ask().error is None
    coze.faults.queue(shape, code=4010)
    coze.faults.queue(shape, code=4010)
    assert world.ask().error == "coze_4010"
    assert world.sink.calls == 4


def test_not_found_without_a_conversation_is_final(world: World, coze: LocalCoze) -> None:
    coze.faults.queue("code", code=4200)
    assert world.ask().error == "coze_4200"
    assert world.sink.calls == 1


def test_a_conversation_of_another_kind_of_token_is_not_used(world: World, coze: LocalCoze) -> None:
    world.sessions.remember(world.session_id, "7399999999999999999", "yd_somebody")
    world.ask()
    assert dict(coze.requests[-1].query) == {}
    assert world.session.conversation_owner == "pat"


def test_with_a_service_app_each_dialogue_has_its_own_token(
    world_at: Callable[..., World], url: str, coze: LocalCoze
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    coze.register_app("app1", "kid1", public.decode())
    oauth = {
        "coze_api_token": None,
        "coze_auth_mode": "OAUTH_JWT",
        "coze_oauth_client_id": "app1",
        "coze_oauth_public_key_id": "kid1",
        "coze_oauth_private_key": private.decode(),
    }
    one, two = world_at(url, **oauth), world_at(url, user="oXYZ", **oauth)
    assert (one.ask().error, two.ask().error) == (None, None)
    assert one.session.conversation_owner == customer_name(one.session)
    # the token of one cannot see the other's conversation: a new one is begun
    one.sessions.remember(one.session_id, two.session.conversation_id, one.session.conversation_owner)
    assert one.ask().error is None
    assert one.session.conversation_id != two.session.conversation_id
    plain = world_at(url, user="oPLAIN", coze_session_name=False, **oauth)
    plain.ask()
    assert plain.session.conversation_owner == "oauth_jwt"
