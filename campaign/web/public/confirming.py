"""Confirming by the link of a letter: a page that asks, a POST that says yes. Reading never changes anything."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from campaign.actions import subscribing
from campaign.actions.kit import Kit
from campaign.actions.subscribing import Confirmed
from campaign.domain.tokens import Purpose
from campaign.web.pages import Pages
from campaign.web.public.leaving import read_form

router = APIRouter()

_DONE: Final = frozenset({Confirmed.ACTIVE, Confirmed.ALREADY})


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
async def ask_to_confirm(request: Request, token: str) -> Response:
    """Show the button; a scanner that opens every link says yes for nobody."""
    kit: Kit = request.app.state.kit
    pages: Pages = request.app.state.pages
    kit.keys.read_link(Purpose.CONFIRM, token)
    return pages.page(request, "question", page="confirm")


@router.post("/c/{token}")
async def confirm(request: Request, token: str) -> Response:
    """Say yes by the button of our page."""
    kit: Kit = request.app.state.kit
    pages: Pages = request.app.state.pages
    form = await read_form(request)
    if form.get("answer") != "confirm":
        kit.keys.read_link(Purpose.CONFIRM, token)
        return pages.page(request, "question", status=400, page="confirm")
    if await subscribing.confirm_by_link(kit, token) in _DONE:
        return pages.page(request, "answer", page="confirmed")
    return pages.notice(request, 410)
