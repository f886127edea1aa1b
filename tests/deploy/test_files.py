"""The deployment files parse, name what exists, and keep to the settings."""

from __future__ import annotations

import configparser
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.settings_doc import groups

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KNOWN = {
    name for group in groups() for variable in group.variables for name in (variable.name, *variable.aliases)
}
OF_THE_PROCESS = {"PATH", "PYTHONUNBUFFERED", "FLASK_APP"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yml").read_text())


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    """Every directive of the unit with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "yingda.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def gunicorn_conf() -> dict[str, Any]:
    return runpy.run_path(str(DEPLOY / "gunicorn.conf.py"))


def test_gunicorn_listens_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gunicorn_conf()["bind"] == ["127.0.0.1:8000"]
    monkeypatch.setenv("HOST", "::1")
    monkeypatch.setenv("PORT", "8123")
    monkeypatch.setenv("WORKERS", "3")
    monkeypatch.setenv("COZE_ANSWER_TIMEOUT", "100")
    conf = gunicorn_conf()
    assert conf["bind"] == ["[::1]:8123"]
    assert conf["workers"] == 3
    assert conf["graceful_timeout"] == 110


def test_gunicorn_itself_accepts_the_configuration() -> None:
    options = ["--print-config", "-c", "deploy/gunicorn.conf.py", "settings:load_settings"]
    command = [sys.executable, "-m", "gunicorn", *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    shown = dict(re.findall(r"^(\w+)\s+= (.*)$", result.stdout, re.MULTILINE))
    assert shown["worker_class"].lower().find("gevent") >= 0
    assert shown["keepalive"] == "75"
    assert shown["preload_app"] == "False"
    assert shown["accesslog"] == "None"


def test_compose_gives_the_gateway_only_settings_that_exist(compose: dict[str, Any]) -> None:
    for name in ("gateway", "migrate"):
        service = compose["services"][name]
        assert set(service["environment"]) <= KNOWN
        assert service["environment"]["APP_ENV"] == "production"
        assert service["env_file"] == ["../.env"]


def test_compose_waits_for_what_the_gateway_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["gateway"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["nginx"]["depends_on"] == {"gateway": {"condition": "service_healthy"}}
    for name in ("postgres", "redis", "nginx"):
        assert services[name]["healthcheck"]["test"]
    # only nginx is reachable from outside
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]


def test_compose_uses_volumes_and_files_that_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("./"):
                # the certificates are the operator's own
                assert source == "./tls" or (DEPLOY / source).exists()
            else:
                assert source in compose["volumes"]
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()


def test_compose_holds_no_secret() -> None:
    text = (DEPLOY / "compose.yml").read_text()
    assert re.findall(r"PASSWORD: (.*)", text) == ["${POSTGRES_PASSWORD:?add POSTGRES_PASSWORD to .env}"]


def test_nginx_in_compose_finds_the_line_it_replaces() -> None:
    assert "127\\.0\\.0\\.1:8000" in (DEPLOY / "compose.yml").read_text()
    assert (DEPLOY / "nginx.conf").read_text().count("127.0.0.1:8000") == 1


def test_the_unit_sets_only_settings_that_exist(unit: dict[str, list[str]]) -> None:
    named = {value.partition("=")[0] for value in unit["Environment"]}
    assert named
    assert named <= KNOWN
    assert unit["Type"] == ["notify"]
    assert unit["User"] == ["yingda"]


def test_the_unit_is_an_ini_file_with_its_three_sections() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(DEPLOY / "yingda.service")
    assert parser.sections() == ["Unit", "Service", "Install"]


def test_the_longest_answer_fits_into_every_stop(compose: dict[str, Any], unit: dict[str, list[str]]) -> None:
    longest = gunicorn_conf()["graceful_timeout"]
    assert int(unit["TimeoutStopSec"][0]) > longest
    assert int(compose["services"]["gateway"]["stop_grace_period"].removesuffix("s")) > longest


if shutil.which("systemd-analyze"):

    def test_systemd_understands_the_unit(tmp_path: Path) -> None:
        text = (DEPLOY / "yingda.service").read_text()
        # its programs and its user are not on this machine
        text = re.sub(r"/opt/yingda/\.venv/bin/\S+", "/bin/true", text).replace("/opt/yingda", "/")
        text = re.sub(r"(?m)^(User|Group)=.*$", r"\1=root", text)
        path = tmp_path / "yingda.service"
        path.write_text(text)
        result = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
        )
        ours = [line for line in result.stderr.splitlines() if "yingda.service" in line]
        assert not ours


def test_the_image_copies_what_exists_and_installs_by_hash() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) \S+$", text, re.MULTILINE)
    assert copied
    assert all((ROOT / source).exists() for source in copied)
    assert "--require-hashes" in text
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["yingda"]
    variables = re.findall(r"^(?:ENV| {4,})\s*([A-Z_]+)=", text, re.MULTILINE)
    assert {"APP_ENV", "HOST"} <= set(variables)
    assert set(variables) <= KNOWN | OF_THE_PROCESS


def test_the_image_leaves_out_secrets_but_not_what_runs() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".env", "*.pem", ".git", "var"} <= set(ignored)
    running = {"app.py", "parts.py", "wsgi.py", "deploy", "storage", "ops", "sandbox"}
    assert not running & set(ignored)
    assert "requirements.txt" not in ignored
