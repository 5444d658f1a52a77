"""How Campaign tells what it does: a line or a JSON object per event. No address and no password ever leaves it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from campaign.domain.addresses import mask

_QUOTED: Final = r'"(?:[^"\\\r\n]|\\.){1,256}"'
_PLAIN: Final = r"[^\s@<>()\[\],;:\"\\]{1,256}"
_HOST: Final = r"(?:\[[0-9A-Fa-f.:IPv]{3,45}\]|[^\s@<>()\[\]{},;:\"'`=/\\|%?&#]+)"
_PERSONAL: Final = re.compile(
    rf"(?P<sign_in>://[^/?#\s]{{1,512}}@)"
    rf"|(?P<link>/[a-z]/)(?P<token>[A-Za-z0-9_.~-]{{20,}})"
    rf"|(?P<address>(?:{_QUOTED}|{_PLAIN})(?:@|%40){_HOST})"
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DEEP: Final = 6
_LONG: Final = 20_000
_MANY_LINES: Final = frozenset({"exception", "stack"})
_QUIET: Final = ("aiosqlite", "asyncio", "apscheduler", "alembic", "sqlalchemy", "mail.log", "uvicorn")


def set_up_logs(
    style: Literal["console", "json"] = "console", level: str = "info", stream: TextIO | None = None
) -> None:
    """Send everything, our own events and what libraries say through `logging`, to `stream` (standard error)."""
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(style, colors=style == "console" and stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in _QUIET:  # libraries that tell each step: their warnings are enough
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def get_log(**fields: Any) -> FilteringBoundLogger:
    """Give a log that adds `fields` to each record.

    Call it as `log.info("edition_frozen", edition=42)`: the first word is the action, in the past tense, fit to search.
    """
    log: FilteringBoundLogger = structlog.get_logger("campaign", **fields)
    return log


def masked(text: str) -> str:
    """Give `text` without passwords, personal links and whole addresses, and harmless to a terminal.

    When in doubt it hides: any word around an @ is taken for an address.
    """
    text = _PERSONAL.sub(_veiled, text[:_LONG])
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _veiled(found: re.Match[str]) -> str:
    if found["sign_in"]:
        return "://***@"
    if found["link"]:
        return f"{found['link']}…"
    return mask(found["address"].replace("%40", "@"))


def _formatter(style: str, *, colors: bool) -> logging.Formatter:
    """Prepare a record once for both kinds of source, and write it in one of the two styles."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=colors, event_key="action", exception_formatter=structlog.dev.plain_traceback
        )
    )
    return structlog.stdlib.ProcessorFormatter(
        processors=[_act, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shared, _mask, renderer],
        use_get_message=True,
    )


def _act(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the action. What a library said has its logger's name for one; its words become the message."""
    said = event.pop("event", "")
    if event["_from_structlog"]:
        return {"action": said, **event}
    return {"action": event["_record"].name, "message": said, **event}


def _mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Mask every text of a record, tracebacks included; only those may have several lines."""
    return {
        key: masked(value) if key in _MANY_LINES and isinstance(value, str) else _mask_value(value)
        for key, value in event.items()
    }


def _mask_value(value: Any, depth: int = 0) -> Any:
    """Mask texts at any depth. What is neither a number nor a collection is written down first, then masked."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEEP and isinstance(value, Mapping):
        return {_mask_value(str(key)): _mask_value(item, depth + 1) for key, item in value.items()}
    if depth < _DEEP and isinstance(value, list | tuple | set | frozenset):
        return [_mask_value(item, depth + 1) for item in value]
    return masked(str(value)).replace("\n", "\\n")
