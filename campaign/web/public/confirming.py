"""Saying yes by the link of a letter: a page that asks, a POST that says yes. Reading never changes anything."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from campaign.actions import confirming, renewing
from campaign.actions.confirming import Confirmed
from campaign.actions.kit import Kit
from campaign.domain.tokens import Purpose
from campaign.web.pages import Pages
from campaign.web.public.leaving import read_form

router = APIRouter()

_DONE: Final = frozenset({Confirmed.ACTIVE, Confirmed.ALREADY})
_PAGES: Final = {Purpose.CONFIRM: "confirm", Purpose.RENEW: "renew"}


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
async def ask_to_confirm(request: Request, token: str) -> Response:
    """Show the button; a scanner that opens every link says yes for nobody."""
    return _question(request, Purpose.CONFIRM, token)


@router.post("/c/{token}")
async def confirm(request: Request, token: str) -> Response:
    """Say yes by the button of our page."""
    kit: Kit = request.app.state.kit
    if (await read_form(request)).get("answer") != _PAGES[Purpose.CONFIRM]:
        return _question(request, Purpose.CONFIRM, token, status=400)
    return _answer(request, await confirming.confirm_by_link(kit, token))


@router.api_route("/r/{token}", methods=["GET", "HEAD"])
async def ask_to_renew(request: Request, token: str) -> Response:
    """Ask somebody who gets letters whether they still want them."""
    return _question(request, Purpose.RENEW, token)


@router.post("/r/{token}")
async def renew(request: Request, token: str) -> Response:
    """Say that they are still wanted."""
    kit: Kit = request.app.state.kit
    if (await read_form(request)).get("answer") != _PAGES[Purpose.RENEW]:
        return _question(request, Purpose.RENEW, token, status=400)
    return _answer(request, await renewing.renew_by_link(kit, token))


def _question(request: Request, purpose: Purpose, token: str, *, status: int = 200) -> Response:
    kit: Kit = request.app.state.kit
    pages: Pages = request.app.state.pages
    kit.keys.read_link(purpose, token)
    return pages.page(request, "question", status=status, page=_PAGES[purpose])


def _answer(request: Request, done: Confirmed) -> Response:
    pages: Pages = request.app.state.pages
    return pages.page(request, "answer", page="confirmed") if done in _DONE else pages.notice(request, 410)
