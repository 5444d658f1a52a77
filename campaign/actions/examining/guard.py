"""Lets one look fail, or take too long, without the others: whatever happens in it becomes a finding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

from campaign.domain.errors import CampaignError
from campaign.domain.findings import Finding, Subject
from campaign.logs import masked

PATIENCE: Final = 11.0
"""Seconds for one look; what it asks has less, so that a finding can say what did not answer."""


async def guarded(subject: Subject, look: Awaitable[list[Finding]], patience: float = PATIENCE) -> list[Finding]:
    """Wait for the findings of one look; never raises."""
    try:
        async with asyncio.timeout(patience):
            return await look
    except TimeoutError:
        return [
            subject.error(f"No answer within {patience:g} s.", "Look again; see whether the machine is overloaded.")
        ]
    except CampaignError as error:
        return [subject.error(masked(error.message), masked(error.remedy) or "Mend that, and look again.")]
    except OSError as error:
        said = masked(f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}")
        return [subject.error(f"It cannot be looked at: {said}.", "Run campaign doctor as the user who runs Campaign.")]
    except Exception as error:  # noqa: BLE001 -- a report with a hole in it is better than none
        said = masked(f"{type(error).__name__}: {error}".partition("\n")[0])
        return [subject.error(f"The look at it failed: {said}", "Please report it, with this line.")]
