"""Commands about relays: see how they stand, hold them, try them. They word; `actions.steering` does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from campaign.cli.output import as_json, hint, record, say, table
from campaign.cli.running import with_kit
from campaign.cli.signing import dkim

if TYPE_CHECKING:
    from campaign.actions.steering import Standing, Trial

relays_app = typer.Typer(help="See the relays, hold one, try one; make keys to sign with.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Name = Annotated[str, typer.Argument(metavar="RELAY", help="The relay's name: main, or as in config/relays.toml.")]
Domain = Annotated[str | None, typer.Option("--domain", metavar="D", help="Only letters to this recipient domain.")]
_SPANS = ("per_second", "per_minute", "per_hour", "per_day")


@relays_app.command("list")
def list_relays(*, json: Json = False) -> None:
    """List the relays: which are open, rest after faults or are paused; their share and their limits."""
    from campaign.actions import steering

    found = with_kit(steering.standings, "smtp_url")
    if json:
        as_json([one.row() for one in found])
        return
    rows = [(one.relay.name, _state(one), one.relay.weight, one.connections, _limits(one.row())) for one in found]
    table(("relay", "state", "weight", "connections", "limits"), rows)


@relays_app.command("show")
def show(name: Name, *, json: Json = False) -> None:
    """Show one relay, why it rests, and the domains that it is slow to or holds back from."""
    from campaign.actions import steering

    [found] = with_kit(lambda kit: steering.standings(kit, name), "smtp_url")
    if json:
        as_json(found.row())
        return
    record(
        [
            ("Relay", found.relay.name),
            ("State", _state(found)),
            ("Reason", found.known.reason),
            ("Weight", found.relay.weight),
            ("Connections", found.connections),
            ("Limits", _limits(found.row())),
        ]
    )
    if found.domains:
        say()
        rows = [(one.domain, one.paused_by, one.paused_until, one.rate, one.parallel) for one in found.domains]
        table(("domain", "paused by", "paused until", "a second", "at once"), rows)


@relays_app.command("pause")
def pause(name: Name, *, domain: Domain = None) -> None:
    """Let nothing more go to a relay, or by it to one domain, until you resume it. Other relays take the letters.

    A running daemon notices within two seconds; letters that are being handed over are finished.
    """
    from campaign.actions import steering

    done = with_kit(lambda kit: steering.pause(kit, name, domain), "smtp_url")
    what = _what(name, domain)
    say(f"Paused {what} until you resume it." if done else f"{what} was paused already.")


@relays_app.command("resume")
def resume(name: Name, *, domain: Domain = None) -> None:
    """Let letters go to a relay again, or by it to one domain, and forget its faults."""
    from campaign.actions import steering

    done = with_kit(lambda kit: steering.resume(kit, name, domain), "smtp_url")
    what = _what(name, domain)
    say(f"{what} goes on." if done else f"Nothing held {what} back.")


@relays_app.command("test")
def try_relay(
    name: Name,
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="Send a test letter to this address.")
    ] = None,
) -> None:
    """Connect to a relay and sign in as sending would; with an address of yours, send one letter through just it."""
    from campaign.actions import steering

    _say_trial(with_kit(lambda kit: steering.attempt(kit, name, address), "smtp_url"), address)


relays_app.command("dkim")(dkim)


def _what(name: str, domain: str | None) -> str:
    return f"{name}, to {domain.strip().removeprefix('@')}," if domain else name


def _say_trial(found: Trial, address: str | None) -> None:
    welcome = found.welcome
    record(
        [
            ("Relay", found.name),
            ("TLS", f"{welcome.tls}, {welcome.cipher}" if welcome.tls else "none: letters travel in the open"),
            ("Signed in", welcome.signed_in),
            ("AUTH", ", ".join(welcome.auth) or "not offered"),
            ("SIZE", f"{welcome.size_limit:,} bytes" if welcome.size_limit else "no limit named"),
            ("PIPELINING", welcome.pipelining),
            ("SMTPUTF8", welcome.smtputf8),
        ]
    )
    if found.said is not None:
        say(f"It took the letter to {address}: {found.said}")
    else:
        hint(f"A letter through it: campaign relays test {found.name} ADDRESS")


def _state(one: Standing) -> str:
    known = one.known
    if one.state == "paused":
        return f"paused by {known.paused_by}"
    if one.used_up_until and one.state == "used up":
        return f"limits used up until {one.used_up_until:%Y-%m-%d %H:%M:%S} UTC"
    return f"resting until {known.paused_until:%Y-%m-%d %H:%M:%S} UTC" if one.state == "resting" else one.state


def _limits(row: dict[str, Any]) -> str:
    found = [f"{row[span]:,} {span.replace('_', ' ')}" for span in _SPANS if row[span]]
    warm = row["warm_up"]
    return ", ".join([*found, *([f"warm-up since {warm['from']}"] if warm else [])]) or "none"
