"""The price list of examples/flask_app, over HTTP: its pages, its buttons, its past and its refusals."""

from __future__ import annotations

import html
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, event, text

from .conftest import EXAMPLES
from .web_server import served

pytest.importorskip("flask_sqlalchemy")
pytestmark = pytest.mark.slow


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    url = f"entitydb:///{tmp_path}/shop.edb"
    with served("flask", tmp_path, FLASK_SQLALCHEMY_DATABASE_URI=url) as client:
        yield client


def add(client: httpx.Client, name: str, price: int, user: str = "ann") -> str:
    """-> the path of the product's page"""
    answer = client.post("/products", data={"name": name, "price": str(price)}, headers={"X-Forwarded-User": user})
    assert answer.status_code == 303
    return answer.headers["Location"]


def change(client: httpx.Client, path: str, name: str, price: int, user: str = "bob") -> None:
    answer = client.post(path, data={"name": name, "price": str(price)}, headers={"X-Forwarded-User": user})
    assert (answer.status_code, answer.headers["Location"]) == (303, path)


def trail(client: httpx.Client, path: str) -> list[tuple[str, str]]:
    """Who and what, newest first, as the page has it."""
    rows = re.findall(r"<td><a .*?\n\s*<td>(.*?)\n\s*<td>(.*?)<td>", client.get(path).text, re.DOTALL)
    return [(who, html.unescape(re.sub(r"\s+", " ", what).strip())) for who, what in rows]


def moments(client: httpx.Client, path: str) -> list[str]:
    """Of the versions, newest first, as the page links them."""
    return re.findall(rf'href="{path}\?as_of=(\d+)"', client.get(path).text)


def press(client: httpx.Client, path: str, button: str, number: int, user: str = "eve") -> httpx.Response:
    """Presses a button of a page, the number-th of those that read so."""
    forms = re.findall(
        r'action="([^"]+)">\s*<button name="(\w+)" value="(\w+)">' + button, client.get(path).text
    )
    action, name, value = forms[number]
    return client.post(action, data={name: value}, headers={"X-Forwarded-User": user})


def test_a_product_has_its_trail_and_its_past(client: httpx.Client) -> None:
    path = add(client, "Bread <new>", 250)
    change(client, path, "Bread", 300)
    assert "Bread &lt;new&gt;" in client.get(path).text
    assert trail(client, path) == [
        ("bob", "update: name Bread <new> → Bread, price 250 → 300"),
        ("ann", f"insert: id None → {path.rpartition('/')[2]}, name None → Bread <new>, price None → 250"),
    ]
    newest, oldest = moments(client, path)
    assert "3.00" in client.get("/").text
    then = client.get("/", params={"as_of": oldest}).text
    assert "2.50" in then
    assert "3.00" not in then
    assert f"{path}?as_of={oldest}" in then  # the links stay at the moment
    assert "<form method=" not in then
    of_then = client.get(path, params={"as_of": oldest}).text
    assert "Bread &lt;new&gt;</h1>" in of_then
    assert "→ 300" in client.get(path).text
    assert "→ 300" not in of_then           # the number alone may be a part of a moment
    just_before = str(int(newest) - 1)
    assert "2.50" in client.get("/", params={"as_of": just_before}).text


def test_the_past_of_one_request_is_not_that_of_the_next(client: httpx.Client) -> None:
    path = add(client, "Milk", 100)
    change(client, path, "Milk", 120)
    oldest = moments(client, path)[-1]
    for _ in range(3):
        assert "1.00" in client.get("/", params={"as_of": oldest}).text
        assert "1.20" in client.get("/").text
    change(client, path, "Milk", 130)
    assert "1.30" in client.get("/").text


def test_restore_and_undo_are_buttons(client: httpx.Client) -> None:
    path = add(client, "Milk", 100)
    change(client, path, "Milk", 120)
    assert press(client, path, "Restore", -1).status_code == 303
    assert trail(client, path)[0] == ("eve", "update: price 120 → 100")
    assert press(client, path, "Undo", 0, user="uma").status_code == 303
    assert trail(client, path)[0] == ("uma", "update: price 100 → 120")
    assert client.post(f"{path}/delete").status_code == 303
    assert "Milk" not in client.get("/").text
    assert "Deleted product" in client.get(path).text
    assert press(client, path, "Restore", 0).status_code == 303
    assert "1.20" in client.get("/").text


def test_the_feed_goes_on_where_it_was_left(client: httpx.Client) -> None:
    path = add(client, "Milk", 100)
    change(client, path, "Milk", 120)
    first = client.get("/changes", params={"limit": 1}).json()
    assert [one["operation"] for one in first["changes"]] == ["insert"]
    second = client.get("/changes", params={"since": first["next"]}).json()
    assert [one["changed"] for one in second["changes"]] == [{"price": [100, 120]}]
    assert client.get("/changes", params={"since": second["next"]}).json() == {"changes": [], "next": second["next"]}
    then = client.get("/changes", params={"as_of": moments(client, path)[-1]}).json()
    assert then == first


def test_what_is_refused_is_said(client: httpx.Client) -> None:
    path = add(client, "Milk", 100)
    change(client, path, "Milk", 120)
    other = add(client, "Bread", 200)
    moment = moments(client, path)[0]

    def told(answer: httpx.Response, status: int, words: str) -> None:
        assert answer.status_code == status, answer.text
        assert words in html.unescape(answer.text)
        assert "SELECT" not in answer.text

    told(client.get("/", params={"as_of": "2001-01-01"}), 404, "before the first commit")
    told(client.get("/", params={"as_of": "soon"}), 400, "'soon' is not a moment")
    told(client.get("/products/77"), 404, "no product 77")
    told(client.get(f"/products/{2**70}"), 404, "Not Found")
    told(client.post("/products/77", data={"name": "x", "price": "1"}), 404, "Not Found")
    told(client.post("/products", data={"name": "Milk", "price": "1"}), 409, "UNIQUE constraint failed: product.name")
    told(client.post("/products", data={"name": "x", "price": "dear"}), 400, "a price in cents")
    told(client.post(f"{path}/restore", data={"to": "soon"}), 400, "not a moment")
    told(client.post(f"{other}/restore", data={"to": moment}), 404, "was not there")
    told(press(client, path, "Undo", -1), 409, "transaction 3 (update of product 1)")
    told(client.post(f"{path}/undo", data={"transaction": "9999"}), 404, "there is no transaction 9999")
    told(client.post(path, params={"as_of": moment}, data={"name": "x", "price": "1"}), 409, "past")
    told(client.post("/products", params={"as_of": moment}, data={"name": "x", "price": "1"}), 409, "past")
    told(client.get("/changes", params={"since": "soon"}), 400, "not a moment")
    assert len(trail(client, path)) == 2
    assert len(client.get("/changes").json()["changes"]) == 3


def test_who_loses_a_race_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another connection writes the product between the request's own write and its commit."""
    spec = importlib.util.spec_from_file_location("flask_app", EXAMPLES / "flask_app" / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "flask_app", module)
    spec.loader.exec_module(module)
    app = module.create_app(SQLALCHEMY_DATABASE_URI=f"entitydb:///{tmp_path}/shop.edb")
    client = app.test_client()
    client.post("/products", data={"name": "Milk", "price": "100"})

    def be_first(*_: object) -> None:
        with create_engine(f"entitydb:///{tmp_path}/shop.edb").begin() as connection:
            connection.execute(text("UPDATE product SET price = 150"))

    event.listen(module.db.session, "after_flush", be_first)
    answer = client.post("/products/1", data={"name": "Milk", "price": "200"})
    event.remove(module.db.session, "after_flush", be_first)
    assert answer.status_code == 409
    assert "SerializationFailure" in answer.text
    assert client.post("/products/1", data={"name": "Milk", "price": "200"}).status_code == 303
    with app.app_context():
        module.db.engine.dispose()
