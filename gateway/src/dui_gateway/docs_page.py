"""`/openapi.json` and `/docs`: the document, and Swagger UI 5 over it, without internet and without an inline script.

The files of Swagger UI come from the package flask-openapi3-swagger; only its files are used, its code is never imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import orjson
from flask import Flask, Response, abort, request

from dui_gateway.protection import DOCS_POLICY
from dui_gateway.schemas import Schema

_PACKAGE = "flask_openapi3_swagger"
_UI = {
    "swagger-ui.css": ("templates/swagger/css/swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": ("templates/swagger/js/swagger-ui-bundle.js", "text/javascript"),
}
_OWN = {
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def install(app: Flask, document: Schema) -> None:
    """Adds the addresses. Everything is read once: a missing file stops the start, not a visit."""
    openapi = orjson.dumps(document)
    assets = _assets()
    page = files("dui_gateway").joinpath("static/docs.html").read_bytes()

    @app.get("/openapi.json")
    def openapi_document() -> Response:
        return _kept(openapi, "application/json")

    @app.get("/docs")
    def docs() -> Response:
        answer = _kept(page, "text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = DOCS_POLICY
        return answer

    @app.get("/docs/<name>")
    def docs_asset(name: str) -> Response:
        if name not in assets:
            abort(404)
        content, media = assets[name]
        return _kept(content, media)


def _assets() -> Mapping[str, tuple[bytes, str]]:
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"the package {_PACKAGE} is not installed")
    folder = Path(found.submodule_search_locations[0])
    theirs = {name: ((folder / path).read_bytes(), media) for name, (path, media) in _UI.items()}
    own = files("dui_gateway").joinpath("static")
    return theirs | {name: (own.joinpath(name).read_bytes(), media) for name, media in _OWN.items()}


def _kept(content: bytes, media: str) -> Response:
    """Public content that caches may keep, as long as they ask whether it changed."""
    answer = Response(content, content_type=media)
    answer.set_etag(hashlib.sha256(content).hexdigest()[:32])
    answer.headers["Cache-Control"] = "no-cache"
    answer.make_conditional(request)
    return answer
