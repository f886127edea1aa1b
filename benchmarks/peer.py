"""The peer that the gateway is compared with: an async gateway as its authors usually write it.

Runs in an environment of its own (requirements-bench.txt) and uses nothing of ours. It checks keys and
signatures, but joins no repeated message, keeps no lease, waits for no turn, and takes nothing over: with
`PEER_DATABASE_URL` it adds one row per exchange, without it none.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, Text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.replies import TextReply

COZE = os.environ["COZE_API_BASE"]
DATABASE_URL = os.environ.get("PEER_DATABASE_URL")
KEY = os.environ["PEER_API_KEY"]
HEADERS = {"Authorization": f"Bearer {os.environ['COZE_API_TOKEN']}"}
BOT = os.environ["COZE_BOT_ID"]
crypto = WeChatCrypto(os.environ["WECHAT_TOKEN"], os.environ["WECHAT_AES_KEY"], os.environ["WECHAT_APPID"])


class Base(DeclarativeBase):
    pass


class Exchange(Base):
    """One question and its answer."""

    __tablename__ = "peer_exchanges"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    message_id: Mapped[str]
    user_id: Mapped[str]
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    answered_ms: Mapped[int] = mapped_column(BigInteger)


engine = create_async_engine(DATABASE_URL, pool_size=10, max_overflow=20) if DATABASE_URL else None
new_session = async_sessionmaker(engine, expire_on_commit=False) if engine else None
bearer = HTTPBearer()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=1000)
    timeout = httpx.Timeout(130.0, connect=5.0)
    async with httpx.AsyncClient(base_url=COZE, headers=HEADERS, limits=limits, timeout=timeout) as client:
        app.state.client = client
        yield
    if engine is not None:
        await engine.dispose()


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    message: str = Field(min_length=1, max_length=4000)
    user_id: str = Field(min_length=1, max_length=128)
    message_id: str = Field(default_factory=lambda: uuid.uuid4().hex, max_length=128)


class Answer(BaseModel):
    success: bool
    message: str
    user_id: str
    message_id: str


async def known(given: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> None:
    if not secrets.compare_digest(given.credentials, KEY):
        raise HTTPException(401, "the API key is not known")


async def deltas(client: httpx.AsyncClient, user: str, text: str) -> AsyncIterator[str]:
    """The pieces of Coze's answer."""
    body = {
        "bot_id": BOT,
        "user_id": user,
        "stream": True,
        "auto_save_history": True,
        "additional_messages": [
            {"role": "user", "type": "question", "content": text, "content_type": "text"}
        ],
    }
    async with client.stream("POST", "/v3/chat", json=body) as response:
        response.raise_for_status()
        event = ""
        async for line in response.aiter_lines():
            if line.startswith("event:"):
                event = line[6:].strip()
            elif line.startswith("data:") and event == "conversation.message.delta":
                message = json.loads(line[5:])
                if message["type"] == "answer":
                    yield message["content"]
            elif line.startswith("data:") and event in {"conversation.chat.failed", "error"}:
                raise HTTPException(502, "the bot failed")


async def record(message_id: str, user: str, question: str, answer: str, begun: float) -> None:
    if new_session is None:
        return
    async with new_session() as session:
        session.add(
            Exchange(
                message_id=message_id,
                user_id=user,
                question=question,
                answer=answer,
                created_ms=int(begun * 1000),
                answered_ms=int(time.time() * 1000),
            )
        )
        await session.commit()


async def whole(client: httpx.AsyncClient, message_id: str, user: str, question: str) -> str:
    begun = time.time()
    answer = "".join([piece async for piece in deltas(client, user, question)])
    await record(message_id, user, question, answer, begun)
    return answer


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@app.post("/api/chat", dependencies=[Depends(known)])
async def chat(question: Question, request: Request) -> Answer:
    text = await whole(request.app.state.client, question.message_id, question.user_id, question.message)
    return Answer(success=True, message=text, user_id=question.user_id, message_id=question.message_id)


@app.post("/api/chat/stream", dependencies=[Depends(known)])
async def chat_stream(question: Question, request: Request) -> StreamingResponse:
    async def frames() -> AsyncIterator[str]:
        begun, pieces = time.time(), []
        async for piece in deltas(request.app.state.client, question.user_id, question.message):
            pieces.append(piece)
            yield _frame({"type": "message", "content": piece})
        await record(question.message_id, question.user_id, question.message, "".join(pieces), begun)
        yield _frame({"type": "done", "content": ""})

    return StreamingResponse(frames(), media_type="text/event-stream")


@app.post("/api/wechat")
async def wechat(request: Request, msg_signature: str, timestamp: str, nonce: str) -> Response:
    try:
        xml = crypto.decrypt_message(await request.body(), msg_signature, timestamp, nonce)
    except (InvalidSignatureException, InvalidAppIdException):
        raise HTTPException(403, "the signature does not fit") from None
    message = parse_message(xml)
    text = await whole(request.app.state.client, str(message.id), message.source, message.content)
    reply = TextReply(content=text, message=message).render()
    return Response(crypto.encrypt_message(reply, nonce, timestamp), media_type="application/xml")


def _frame(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
