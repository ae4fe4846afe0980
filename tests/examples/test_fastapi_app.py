"""The notes of examples/fastapi_app, over HTTP: the API, the audit page's buttons, the past, feeds and refusals."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from .web_server import served

pytest.importorskip("fastapi")
pytestmark = pytest.mark.slow


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with served("uvicorn", tmp_path) as client:
        yield client
    assert (tmp_path / "notes.edb").exists()


def add(client: httpx.Client, title: str, body: str = "", user: str = "ann") -> str:
    """-> the path of the note"""
    answer = client.post("/notes", json={"title": title, "body": body}, headers={"X-Forwarded-User": user})
    assert answer.status_code == 201, answer.text
    return f"/notes/{answer.json()['id']}"


def change(client: httpx.Client, path: str, title: str, body: str, user: str = "bob") -> None:
    answer = client.put(path, json={"title": title, "body": body}, headers={"X-Forwarded-User": user})
    assert answer.status_code == 200, answer.text


def trail(client: httpx.Client, path: str, **query: str) -> list[tuple[str, str]]:
    """Who and what, newest first, as the page has it."""
    page = client.get(f"{path}/audit", params=query).text
    rows = re.findall(r"<td><a .*?\n\s*<td>(.*?)\n\s*<td>(.*?)<td>", page, re.DOTALL)
    return [(who, html.unescape(re.sub(r"\s+", " ", what).strip())) for who, what in rows]


def moments(client: httpx.Client, path: str) -> list[str]:
    """Of the versions, newest first, as the page links them."""
    return re.findall(rf'href="{path}\?as_of=(\d+)"', client.get(f"{path}/audit").text)


def press(client: httpx.Client, path: str, button: str, number: int, user: str = "eve") -> httpx.Response:
    """Does what the page's script does for a button, the number-th of those that read so."""
    posts = re.findall(rf'<button data-post="([^"]+)">{button}<', client.get(f"{path}/audit").text)
    return client.post(html.unescape(posts[number]), headers={"X-Forwarded-User": user})


def test_a_note_has_its_trail_and_its_past(client: httpx.Client) -> None:
    path = add(client, "<Plan>", "a")
    change(client, path, "Plan", "b")
    assert "&lt;Plan&gt;" in client.get(f"{path}/audit").text
    inserted = ("ann", "insert: id None → 1, title None → <Plan>, body None → a")
    assert trail(client, path) == [("bob", "update: title <Plan> → Plan, body a → b"), inserted]
    newest, oldest = moments(client, path)
    for moment in (oldest, str(int(newest) - 1)):
        then = {"id": 1, "title": "<Plan>", "body": "a"}
        assert client.get("/notes", params={"as_of": moment}).json() == [then]
        assert client.get(path, params={"as_of": moment}).json() == then
        assert trail(client, path, as_of=moment) == [inserted]
        assert client.get(path).json() == {"id": 1, "title": "Plan", "body": "b"}
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.get(path, params={"as_of": newest}).json()["title"] == "Plan"
    assert trail(client, path)[0][1].startswith("delete: ")


def test_restore_and_undo_are_buttons(client: httpx.Client) -> None:
    path = add(client, "Plan", "a")
    change(client, path, "Plan", "b")
    assert press(client, path, "Restore", -1).status_code == 204
    assert trail(client, path)[0] == ("eve", "update: body b → a")
    assert press(client, path, "Undo", 0, user="uma").status_code == 204
    assert trail(client, path)[0] == ("uma", "update: body a → b")
    client.delete(path)
    assert press(client, path, "Restore", 0).status_code == 204
    assert client.get(path).json()["body"] == "b"


def test_each_of_many_requests_at_once_has_its_own_actor_and_moment(client: httpx.Client) -> None:
    path = add(client, "first")
    (moment,) = moments(client, path)

    def visit(number: int) -> list[Any]:
        own = add(client, f"note {number}", user=f"user {number}")
        then = client.get("/notes", params={"as_of": moment}).json()
        return [trail(client, own)[0][0], [note["title"] for note in then], client.get(own).json()["title"]]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(visit, range(40)))
    assert found == [[f"user {number}", ["first"], f"note {number}"] for number in range(40)]


def test_the_feed_goes_on_where_it_was_left(client: httpx.Client) -> None:
    path = add(client, "Plan", "a")
    change(client, path, "Plan", "b")
    first = client.get("/changes", params={"limit": 1}).json()
    assert [one["operation"] for one in first["changes"]] == ["insert"]
    second = client.get("/changes", params={"since": first["next"]}).json()
    assert [one["changed"] for one in second["changes"]] == [{"body": ["a", "b"]}]
    assert client.get("/changes", params={"since": second["next"]}).json() == {"changes": [], "next": second["next"]}
    assert client.get("/changes", params={"as_of": moments(client, path)[-1]}).json() == first


def test_the_stream_tells_what_comes_and_goes_on_behind_an_event(client: httpx.Client) -> None:
    add(client, "Plan")

    def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
        lines = answer.iter_lines()
        for line in lines:
            if line.startswith("id: "):
                yield line[4:], json.loads(next(lines)[6:])

    with client.stream("GET", "/changes/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer)
        token, event = next(told)
        assert event["changed"]["title"] == [None, "Plan"]
        add(client, "Deed")
        assert next(told)[1]["changed"]["title"] == [None, "Deed"]
    with client.stream("GET", "/changes/stream", headers={"Last-Event-ID": token}) as answer:
        assert next(events(answer))[1]["changed"]["title"] == [None, "Deed"]


def test_what_is_refused_is_said(client: httpx.Client) -> None:
    path = add(client, "Plan", "a")
    change(client, path, "Plan", "b")
    other = add(client, "Deed")
    moment = moments(client, path)[0]

    def told(answer: httpx.Response, status: int, words: str) -> dict[str, Any]:
        found: dict[str, Any] = answer.json()
        assert answer.status_code == status, found
        assert words in str(found["detail"])
        assert "SELECT" not in answer.text
        return found

    told(client.get("/notes", params={"as_of": "2001-01-01"}), 404, "before the first commit")
    told(client.get("/notes", params={"as_of": "soon"}), 400, "'soon' is not a moment")
    told(client.get("/notes/77"), 404, "no note 77")
    told(client.get("/notes/77/audit"), 404, "there was none")
    told(client.get(f"/notes/{2**70}"), 422, "less than or equal")
    told(client.put("/notes/77", json={"title": "x"}), 404, "no note 77")
    told(client.post("/notes", json={"title": "Plan"}), 409, "UNIQUE constraint failed: note.title")
    told(client.post(f"{path}/restore", params={"to": "soon"}), 400, "not a moment")
    told(client.post(f"{other}/restore", params={"to": moment}), 404, "was not there")
    conflict = told(press(client, path, "Undo", -1), 409, "transaction 3 (update of note 1)")
    assert [(one["transaction"], one["changed"]) for one in conflict["writers"]] == [(3, {"body": ["a", "b"]})]
    told(client.post("/transactions/9999/undo"), 404, "there is no transaction 9999")
    told(client.put(path, params={"as_of": moment}, json={"title": "x"}), 409, "past")
    told(client.post("/notes", params={"as_of": moment}, json={"title": "x"}), 409, "past")
    told(client.delete(path, params={"as_of": moment}), 409, "past")
    told(client.get("/changes", params={"since": "soon"}), 400, "not a moment")
    told(client.get("/changes/stream", headers={"Last-Event-ID": "soon"}), 400, "not a moment")
    assert len(client.get("/changes").json()["changes"]) == 3
