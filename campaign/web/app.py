"""The pages as one ASGI application: routes, and the one place where errors become statuses. It decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from campaign.actions.kit import Kit
from campaign.assets import asset
from campaign.domain.errors import CampaignError
from campaign.logs import get_log
from campaign.web.pages import Pages
from campaign.web.public import confirming, leaving
from campaign.web.security import SecureAnswers

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "token_refused": 404,
        "not_found": 404,
        "bad_input": 400,
        "database_away": 503,
        "schema_behind": 503,
    }
)
"""Error codes and what the world is told; any other is 500."""

_READ: Final = ["GET", "HEAD"]
_PATIENCE: Final = 5.0
"""Seconds that the health check waits for the database."""

_log = get_log()


def create_app(kit: Kit, *, lifespan: Lifespan | None = None) -> FastAPI:
    """Make the pages on an open kit. What people do here is recorded as done by `web`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False)
    app.state.kit = replace(kit, operator="web")
    app.state.pages = Pages([kit.settings.home / "templates" / "web", asset("templates/web")], kit.settings.language)
    app.add_middleware(SecureAnswers, https=(kit.settings.base_url or "").startswith("https:"))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(CampaignError, _explained)
    app.add_exception_handler(Exception, _fault)
    app.add_api_route("/", _home, methods=_READ)
    app.add_api_route("/healthz", _health, methods=_READ)
    app.add_api_route("/static/{name}", _static, methods=_READ)
    app.include_router(leaving.router)
    app.include_router(confirming.router)
    return app


async def _home(request: Request) -> Response:
    """Say that there is nothing to see."""
    pages: Pages = request.app.state.pages
    return pages.page(request, "home")


async def _health(request: Request) -> Response:
    """Answer 200 when the database answers: for load balancers and monitors."""
    kit: Kit = request.app.state.kit
    try:
        async with asyncio.timeout(_PATIENCE), kit.store.read():
            return JSONResponse({"status": "ok"})
    except (CampaignError, TimeoutError):
        return JSONResponse({"status": "database away"}, 503)


async def _static(request: Request, name: str) -> Response:
    """Give a file of the pages' looks."""
    pages: Pages = request.app.state.pages
    found = pages.static(name, request.query_params.get("v"))
    if found is None:
        raise HTTPException(404)
    return found


async def _refused(request: Request, error: Exception) -> Response:
    """Show a kind page for what the framework refuses: unknown paths, other methods, broken or too large bodies."""
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    page = _notice(request, status)
    page.headers.update(headers or {})
    if status == 413:  # noqa: PLR2004 -- Content Too Large: what is still to come is not read
        page.headers["Connection"] = "close"
    return page


async def _explained(request: Request, error: Exception) -> Response:
    """Show a kind page for an error of ours; its words are for operators and stay in the log."""
    code = error.code if isinstance(error, CampaignError) else "failed"
    status = STATUS.get(code, 500)
    if status >= 500:  # noqa: PLR2004 -- our own fault
        _log.error("page_failed", code=code, why=str(error), route=_route(request))
    return _notice(request, status)


async def _fault(request: Request, error: Exception) -> Response:
    """Show a kind page for what nobody foresaw."""
    _log.error("page_failed", code="fault", why=type(error).__name__, route=_route(request))
    return _notice(request, 500)


def _notice(request: Request, status: int) -> Response:
    pages: Pages = request.app.state.pages
    return pages.notice(request, status)


def _route(request: Request) -> str:
    """Name the route without what a link says."""
    route: Any = request.scope.get("route")
    return getattr(route, "path", "unknown")
