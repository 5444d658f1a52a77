"""The letter that tries a relay: it says nothing but that it arrived. It never goes to anybody but who asked for it."""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from campaign.domain.addresses import Address


def probe(sender: tuple[str, Address], recipient: Address, *, relay: str, message_id: str, date: datetime) -> bytes:
    """Return a short plain letter from `sender` (a name and an address), ready for the wire."""
    name, address = sender
    letter = EmailMessage(policy=SMTP)
    letter["From"] = HeaderAddress(name, address.local, address.domain)
    letter["To"] = HeaderAddress("", recipient.local, recipient.domain)
    letter["Subject"] = f"Campaign tries the relay {relay}"
    letter["Date"] = format_datetime(date)
    letter["Message-ID"] = message_id
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(
        f"Somebody who runs Campaign asked for this letter, to see whether the relay {relay} hands it on.\n"
        "It arrived, so it does. Nothing else follows from it.\n"
    )
    return letter.as_bytes()
