"""Encryption and signatures against an implementation that shares nothing with ours, nor the language."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from adapters.wechat.crypto import Cipher, Credentials, signature

HERE = Path(__file__).parent / "npm"
MESSAGES = 1000
LETTERS = "abcXYZ019 你好，。👩‍👩‍👧‍👦𠮷\n\t<>&]]>\"'\\\u202e\ufeff\x01"

pytestmark = [pytest.mark.npm, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script beside its package, installed exactly as locked and outside the tree."""
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", ".npmrc", "cross_check.js"):
        shutil.copy(HERE / name, folder)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts"], cwd=folder, check=True, timeout=200, capture_output=True
    )
    return folder / "cross_check.js"


def words(chance: random.Random) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(chance.choice((1, 2, 15, 16, 31, 32, 33, 700))))


def test_both_open_what_the_other_sealed_and_sign_alike(script: Path) -> None:
    chance = random.Random(20_240_601)
    lines, asked = [], []
    for number in range(MESSAGES):
        key = base64.b64encode(chance.randbytes(32)).decode()[:43].replace("+", "a").replace("/", "b")
        each = {
            "key": key,
            "appid": f"wx{chance.getrandbits(64):016x}",
            "token": words(chance),
            "timestamp": str(int(time.time()) - number % 200),
            "nonce": str(chance.getrandbits(40)),
            "message": words(chance),
            "answer": words(chance),
        }
        each["sealed"] = Cipher(key, each["appid"]).encrypt(each["message"])
        asked.append(each)
        lines.append(json.dumps(each))
    done = subprocess.run(
        ["node", script], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=60
    )
    answered = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answered) == MESSAGES
    for mine, theirs in zip(asked, answered, strict=True):
        assert (theirs["message"], theirs["appid"]) == (mine["message"], mine["appid"])
        signed = mine["token"], mine["timestamp"], mine["nonce"]
        assert theirs["signature"] == signature(*signed, mine["sealed"])
        cipher = Cipher(mine["key"], mine["appid"])
        credentials = Credentials([mine["token"]], [cipher])
        _, sealed = credentials.signer(
            theirs["signed"], mine["timestamp"], mine["nonce"], [theirs["sealed"]], now=time.time()
        )
        assert credentials.decrypt(sealed)[0] == mine["answer"]


def test_the_lock_names_no_registry_and_every_content() -> None:
    locked = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]
    others = {name: each for name, each in locked.items() if name}
    assert others
    for name, each in others.items():
        assert each["integrity"].startswith("sha512-"), name
        assert "resolved" not in each, name
