"""How foreign text becomes harmless enough for a header. It never encodes: the composer does that afterwards."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_ENCODED_WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS: Final = re.compile(r"(?<=\?=)\s+(?==\?)")
_CHARSET: Final = re.compile(
    r"utf-?8|us-ascii|ascii|latin-?1|iso-8859-\d{1,2}|windows-\d{3,4}|cp\d{3,4}|koi8-[ru]|gbk?|gb2312|gb18030|big5|"
    r"shift_jis|euc-(?:jp|kr)|iso-2022-(?:jp|kr)",
    re.IGNORECASE,
)
_DEEPEST: Final = 5
_PLAIN: Final = re.compile(r"[A-Za-z0-9.,'-]+(?: [A-Za-z0-9.,'-]+)*")
"""Most names by far: as they are they are clean."""

_UNFIT: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 and C1: line ends, tabs, escapes for terminals
    "\u2028\u2029"  # line and paragraph separator
    "\u202a-\u202e\u2066-\u2069"  # bidirectional embeddings, overrides and isolates: they can turn a name around
    "\ufff9-\ufffb\ufeff"
    "\ud800-\udfff\ufffe\uffff"
    "]+"
)
_UNFIT_IN_BODY: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]+")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SPACES: Final = re.compile(r"\s+")


def clean_header_text(text: str) -> str:
    """Return `text` on one line, encoded words decoded, without what would control a terminal, a header or a reader.

    Decoding comes first: `=?utf-8?q?a=0D=0ABcc:...?=` is a header injection only after it (CVE-2024-6923). What still
    looks like an encoded word afterwards is shown as it stands, since the composer encodes it once more.
    """
    if _PLAIN.fullmatch(text):
        return text
    if "=?" in text:
        text = _decoded(text)
    return _SPACES.sub(" ", _UNFIT.sub(" ", text)).strip()


def clean_body_text(text: str) -> str:
    r"""Return `text` with line ends as \n and without control characters; lone surrogates become U+FFFD."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return _SURROGATE.sub("\ufffd", _UNFIT_IN_BODY.sub("", text))


def _decoded(text: str) -> str:
    for _ in range(_DEEPEST):
        once = _ENCODED_WORD.sub(_decode_word, _BETWEEN_WORDS.sub("", text))
        if once == text:
            return text
        text = once
    return text


def _decode_word(word: re.Match[str]) -> str:
    """Decode one encoded word (RFC 2047), or leave it as it stands when it is broken or its charset is unknown."""
    charset, way, payload = word[1].partition("*")[0], word[2].lower(), word[3]
    if not _CHARSET.fullmatch(charset):
        return word[0]
    try:
        raw = payload.encode("ascii")
        octets = (
            base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
            if way == "b"
            else binascii.a2b_qp(raw, header=True)
        )
        return octets.decode(charset, "replace")
    except (LookupError, UnicodeError, binascii.Error):
        return word[0]
