"""The command that says what is wrong with an installation. It words findings; `actions.examining` finds them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign.cli.output import as_json, one_line, say
from campaign.cli.phrases import count
from campaign.cli.running import home_asked

if TYPE_CHECKING:
    from campaign.domain.findings import Finding

doctor_app = typer.Typer()

_LONGEST: Final = 1_200
"""Characters of one line: the record of an RSA key of 4096 bits has 800, and should be copied whole."""


@doctor_app.callback()
def _doctor() -> None:
    """Commands that stand at the top."""


@doctor_app.command("doctor")
def doctor(
    *,
    json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask neither the relay nor the DNS.")] = False,
    selector: Annotated[
        str, typer.Option("--selector", metavar="NAME", help="The DKIM selector that the relay signs with.")
    ] = "",
) -> None:
    """Look at settings, keys, home, database, relay and the sender's DNS records, and say how to mend what is wrong.

    It sends no letter and changes nothing. The exit status is 1 when there is an error, 0 otherwise.
    """
    from campaign import bootstrap
    from campaign.domain.findings import Level
    from campaign.logs import set_up_logs

    set_up_logs("console", "error")
    findings = asyncio.run(bootstrap.examine(home_asked(), selector=selector.strip(), offline=offline))
    levels = [finding.level for finding in findings]
    if json:
        as_json({"counts": {level.value: levels.count(level) for level in Level}, "findings": findings})
    else:
        _tell(findings)
        errors, warnings = levels.count(Level.ERROR), levels.count(Level.WARNING)
        say(f"\n{count(errors, 'error')}, {count(warnings, 'warning')}.")
    if Level.ERROR in levels:
        raise typer.Exit(1)


def _tell(findings: Sequence[Finding]) -> None:
    """Write a line for each finding, and its mend below it, so that it can be copied."""
    wide = max(len(finding.subject) for finding in findings)
    for finding in findings:
        say(f"{finding.level:<7}  {_cut(finding.subject):<{wide}}  {_cut(finding.found)}")
        if finding.mend:
            say(f"{'':<7}  {'':<{wide}}  -> {_cut(finding.mend)}")


def _cut(text: str) -> str:
    """Give foreign words harmless, on one line, and not without end."""
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
