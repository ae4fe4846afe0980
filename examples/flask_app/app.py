"""A price list that remembers: Flask-SQLAlchemy over EntityDB.

    flask --app examples/flask_app/app.py run

Every page takes `?as_of=2026-11-01T12:00` and is then of that moment. A product's page has its history: when, who and
what changed, with buttons that restore a version or undo a transaction. `/changes` is the feed of all changes as JSON.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from flask import Flask, Response, abort, g, jsonify, redirect, render_template, request, url_for
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.exc import ArgumentError, IntegrityError, NoResultFound
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from entitydb_dialect import (
    HorizonError,
    PastWriteError,
    SerializationFailure,
    UndoConflict,
    at,
    changes,
    history,
    restore,
    transaction_info,
    undo,
)


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    price: Mapped[int]  # cents


# What the database refuses, and the status that says so.
REFUSED: dict[type[Exception], int] = {
    HorizonError: 404,  # a moment from before the first commit
    PastWriteError: 409,  # a write under ?as_of=
    UndoConflict: 409,  # later transactions have changed the same
    IntegrityError: 409,  # a name that is taken
    SerializationFailure: 409,  # somebody else was first: load the page and try again
}


def create_app(**config: Any) -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "entitydb:///shop.edb"  # in the instance folder
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    db.init_app(app)
    with app.app_context():
        db.create_all()

    app.before_request(begin)
    app.teardown_request(end)
    app.url_defaults(stay_at_moment)
    app.register_error_handler(HTTPException, show_error)
    for kind, status in REFUSED.items():
        app.register_error_handler(kind, partial(refuse, status))
    add_views(app)
    return app


# ---- each request: who asks, and for which moment ----


def begin() -> None:
    """Says who makes the request's transactions. With ?as_of= the views' db.session is one of that moment."""
    g.blocks = ExitStack()
    # Whom the proxy in front has let in; put your login here.
    g.user = request.headers.get("X-Forwarded-User") or "anonymous"
    g.blocks.enter_context(transaction_info(actor=g.user))
    if request.args.get("as_of"):
        try:
            past = g.blocks.enter_context(at(db.engine, request.args["as_of"]))
        except ArgumentError as error:
            abort(400, str(error))
        g.as_of = request.args["as_of"]
        sessions: Any = db.session.registry
        sessions.set(past)


def end(_error: BaseException | None) -> None:
    g.pop("blocks", ExitStack()).close()


def stay_at_moment(_endpoint: str, values: dict[str, Any]) -> None:
    """Links from a page of the past lead to pages of the same moment; `as_of=None` leads back to now."""
    if "as_of" in g:
        values.setdefault("as_of", g.as_of)


def show_error(error: HTTPException) -> tuple[str, int]:
    return render_template("error.html", name=error.name, text=error.description), error.code or 500


def refuse(status: int, error: Exception) -> tuple[str, int]:
    # Without the SQL that SQLAlchemy adds.
    text = str(getattr(error, "orig", None) or error)
    return render_template("error.html", name=type(error).__name__.removeprefix("Wrapped"), text=text), status


# ---- pages ----


def product_of_form() -> dict[str, Any]:
    """The values of a product, as the form has them; 400 where they are none."""
    name, price = request.form.get("name", "").strip(), request.form.get("price", type=int)
    if not name or price is None or not 0 <= price < 10**9:
        abort(400, "A product has a name and a price in cents.")
    return {"name": name, "price": price}


def add_views(app: Flask) -> None:
    product_url = "/products/<int(max=9223372036854775807):key>"

    @app.get("/")
    def index() -> str:
        return render_template("index.html", products=db.session.scalars(select(Product).order_by(Product.name)).all())

    @app.post("/products")
    def create() -> AnyResponse:
        product = Product(**product_of_form())
        db.session.add(product)
        db.session.commit()
        return redirect(url_for("show", key=product.id), 303)

    @app.get(product_url)
    def show(key: int) -> str:
        """The product, if it is there, and its history, which stays when it is deleted."""
        try:
            entries = list(history(db.session, (Product, key)))
        except NoResultFound:
            abort(404, f"There is no product {key}, and there was none.")
        return render_template("product.html", product=db.session.get(Product, key), entries=entries[::-1])

    @app.post(product_url)
    def update(key: int) -> AnyResponse:
        product = db.get_or_404(Product, key)
        for name, value in product_of_form().items():
            setattr(product, name, value)
        db.session.commit()
        return redirect(url_for("show", key=key), 303)

    @app.post(f"{product_url}/delete")
    def delete(key: int) -> AnyResponse:
        db.session.delete(db.get_or_404(Product, key))
        db.session.commit()
        return redirect(url_for("index"), 303)

    @app.post(f"{product_url}/restore")
    def restore_product(key: int) -> AnyResponse:
        try:
            restore(db.session, (Product, key), to=request.form["to"])
        except NoResultFound as error:  # it was not there then
            abort(404, str(error))
        except ArgumentError as error:
            abort(400, str(error))
        db.session.commit()
        return redirect(url_for("show", key=key), 303)

    @app.post(f"{product_url}/undo")
    def undo_transaction(key: int) -> AnyResponse:
        """Takes back a whole transaction, which may have changed other products too."""
        try:
            undo(db.session, int(request.form["transaction"]))
        except NoResultFound as error:
            abort(404, str(error))
        except ValueError as error:
            abort(400, str(error))
        db.session.commit()
        return redirect(url_for("show", key=key), 303)

    @app.get("/changes")
    def feed() -> Response:
        """?since= goes on behind the `next` of the last answer."""
        since = request.args.get("since")
        try:
            found = list(changes(db.session, since, limit=min(request.args.get("limit", 100, type=int), 1000)))
        except ArgumentError as error:
            abort(400, str(error))
        told = [
            {"token": one.token, "transaction": one.transaction_id, "when": one.committed.isoformat(),
             "table": one.table, "row": one.entity, "operation": one.operation, "changed": one.changed}
            for one in found
        ]  # fmt: skip
        return jsonify(changes=told, next=found[-1].token if found else since)
