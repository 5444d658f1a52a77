"""Leaving by the link of a letter: a page that asks, and the one-click POST of RFC 8058. Reading changes nothing."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from campaign.actions import subscribing
from campaign.actions.kit import Kit
from campaign.domain.tokens import Purpose
from campaign.web.pages import Pages

router = APIRouter()

_FIELDS: Final = 16
_FIELD_BYTES: Final = 1024


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
async def ask_to_leave(request: Request, token: str) -> Response:
    """Show the button. A link that was forwarded shows nothing about anybody, and link scanners change nothing."""
    kit: Kit = request.app.state.kit
    pages: Pages = request.app.state.pages
    kit.keys.read_link(Purpose.LEAVE, token)
    return pages.page(request, "question", page="leave")


@router.post("/u/{token}")
async def leave(request: Request, token: str) -> Response:
    """Leave: by the button of our page, or by `List-Unsubscribe=One-Click` from a mail program. Twice is fine."""
    kit: Kit = request.app.state.kit
    pages: Pages = request.app.state.pages
    form = await read_form(request)
    one_click = _is_one_click(form)
    if not one_click and form.get("answer") != "leave":
        kit.keys.read_link(Purpose.LEAVE, token)
        return pages.page(request, "question", status=400, page="leave")
    await subscribing.leave_by_link(kit, token)
    if one_click:
        return PlainTextResponse("You will get no more of these letters.\n")
    return pages.page(request, "answer", page="left")


async def read_form(request: Request) -> FormData:
    """Read a small form, urlencoded or multipart (RFC 8058 s. 3.2 allows both); anything else is an empty one."""
    try:
        return await request.form(max_files=0, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except (ValueError, KeyError, LookupError) as error:
        raise HTTPException(400) from error


def _is_one_click(form: FormData) -> bool:
    """Look for the field of RFC 8058 s. 3.1; programs differ in capitals."""
    return any(
        name.lower() == "list-unsubscribe" and isinstance(value, str) and value.strip().lower() == "one-click"
        for name, value in form.multi_items()
    )
