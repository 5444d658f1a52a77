"""Caught letters as files to look at: source, text, HTML made harmless, and a page that lists them. It never sends."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from pathlib import Path
from typing import Final

_LISTED: Final = 500
_LETTER_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
)
_INDEX_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
_INSTRUCTION: Final = re.compile(r"http-equiv", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caught:
    """One letter in the folder, as far as a list shows it."""

    number: int
    recipient: str
    subject: str
    has_html: bool
    has_text: bool

    @property
    def eml(self) -> str:
        """The file with the source, byte for byte as it came."""
        return f"{self.number:04d}.eml"

    @property
    def html(self) -> str:
        """The file with the HTML part, made harmless."""
        return f"{self.number:04d}.html"

    @property
    def text(self) -> str:
        """The file with the text part."""
        return f"{self.number:04d}.txt"

    @classmethod
    def all_in(cls, folder: Path) -> list[Caught]:
        """Read what a folder holds from an earlier run, oldest first."""
        files = sorted(
            (path for path in folder.glob("*.eml") if path.stem.isdecimal()), key=lambda path: int(path.stem)
        )
        return [_described(folder, int(path.stem), "", _parsed(path.read_bytes())) for path in files]


def extract(folder: Path, number: int, recipient: str, letter: bytes) -> Caught:
    """Write a letter's parts and then its source, so that whoever sees the source finds the parts; raise OSError."""
    message = _parsed(letter)
    html, text = _part(message, "html"), _part(message, "plain")
    if html is not None:
        _write(folder / f"{number:04d}.html", harmless(html).encode("utf-8", "replace"))
    if text is not None:
        _write(folder / f"{number:04d}.txt", text.encode("utf-8", "replace"))
    _write(folder / f"{number:04d}.eml", letter)
    return _described(folder, number, recipient, message)


def harmless(html: str) -> str:
    """Return a letter's HTML as a page that runs and loads nothing, for reading in a browser.

    The policy comes first, where no markup of the letter can stand before it. What the letter itself tells the browser
    to do (a refresh to another page, say) is taken away; an attribute's name cannot be written in any other way.
    """
    head = '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{escape(_LETTER_POLICY)}">'
    return f"{head}{policy}\n{_INSTRUCTION.sub('data-told', html)}"


def write_index(folder: Path, letters: Sequence[Caught]) -> None:
    """Write the page that lists the newest letters; raise OSError."""
    _write(folder / "index.html", _index(letters).encode("utf-8", "replace"))


def _described(folder: Path, number: int, recipient: str, message: EmailMessage) -> Caught:
    return Caught(
        number,
        recipient or _header(message, "To"),
        _header(message, "Subject"),
        has_html=(folder / f"{number:04d}.html").exists(),
        has_text=(folder / f"{number:04d}.txt").exists(),
    )


def _parsed(letter: bytes) -> EmailMessage:
    message = email.message_from_bytes(letter, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101 -- what that policy promises, told to the type checker
    return message


def _header(message: EmailMessage, name: str) -> str:
    """Return a header's decoded words; those that the parser cannot read are shown as such."""
    try:
        words = str(message.get(name, ""))
    except Exception:  # noqa: BLE001 -- hostile headers make the standard library's parser raise almost anything
        return "(unreadable)"
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:300]


def _part(message: EmailMessage, kind: str) -> str | None:
    """Return one part's text, or None where there is no such part or it cannot be read."""
    try:
        part = message.get_body((kind,))
        content = part.get_content() if part is not None else None
    except Exception:  # noqa: BLE001 -- as above: unknown charsets, broken base64, impossible boundaries
        return None
    return content if isinstance(content, str) else None


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _row(letter: Caught) -> str:
    links = [
        (letter.html, "HTML", letter.has_html),
        (letter.text, "Text", letter.has_text),
        (letter.eml, "Source", True),
    ]
    shown = " ".join(
        f'<a href="{name}">{word}<span class="apart"> of letter {letter.number}</span></a>'
        for name, word, there in links
        if there
    )
    cells = f'<td>{escape(letter.recipient)}</td><td dir="auto">{escape(letter.subject)}</td><td>{shown}</td>'
    return f'<tr><th scope="row">{letter.number}</th>{cells}</tr>'


def _index(letters: Sequence[Caught]) -> str:
    newest = list(reversed(letters))[:_LISTED]
    count = f"{len(letters)} letter{'' if len(letters) == 1 else 's'} caught."
    rest = f" The newest {_LISTED} are listed; the others lie in the same folder." if len(letters) > _LISTED else ""
    rows = "\n".join(_row(letter) for letter in newest)
    table = _TABLE.replace("@rows", rows) if newest else "<p>Send one, then load this page again.</p>"
    return _PAGE.replace("@policy", escape(_INDEX_POLICY)).replace("@count", count + rest).replace("@table", table)


_TABLE: Final = """<table>
<caption>Newest first</caption>
<thead>
<tr><th scope="col">No.</th><th scope="col">To</th><th scope="col">Subject</th><th scope="col">Look at</th></tr>
</thead>
<tbody>
@rows
</tbody>
</table>"""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="@policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Caught letters</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { padding: .5rem 0; text-align: start; }
th, td { border-block-end: 1px solid GrayText; padding: .5rem; text-align: start; vertical-align: top;
  overflow-wrap: anywhere; }
a { display: inline-block; min-height: 1.5rem; margin-inline-end: .75rem; }
a:focus-visible { outline: 3px solid; outline-offset: 2px; }
.apart { clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute; white-space: nowrap; width: 1px; }
</style>
</head>
<body>
<main>
<h1>Caught letters</h1>
<p>@count None of them left this machine.</p>
@table
</main>
</body>
</html>
"""
