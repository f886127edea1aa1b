"""Every response has an id and two headers, whatever made it."""

from __future__ import annotations

from flask import Flask, Response
from werkzeug.test import Client

from adapters.base import request_id
from ops.common_headers import CommonHeaders


def page() -> Response:
    return Response(request_id(), headers={"referrer-policy": "same-origin"})


def client() -> Client:
    app = Flask("common")
    app.add_url_rule("/page", view_func=page)
    return Client(CommonHeaders(app.wsgi_app))


def test_the_id_in_the_answer_is_the_one_that_the_views_see() -> None:
    answer = client().get("/page")
    assert answer.text == answer.headers["X-Request-Id"]
    assert client().get("/page").text != answer.text


def test_what_a_response_says_itself_is_not_said_twice() -> None:
    answer = client().get("/page")
    assert answer.headers.getlist("Referrer-Policy") == ["same-origin"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_error_of_the_framework_has_them_as_well() -> None:
    answer = client().get("/nowhere")
    assert answer.status_code == 404
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert len(answer.headers["X-Request-Id"]) == 32
