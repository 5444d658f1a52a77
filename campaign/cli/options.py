"""The options by which commands take wishes, with what their help says. It never decides about one."""

from __future__ import annotations

from typing import Annotated, Final

import typer

_DATES: Final = "When (one of the three)"
_CLOCK: Final = "Time"
_AUDIENCE: Final = "Who"
_WORDS: Final = "What"
_RULES: Final = "How"

MOST: Final = 10**18
"""No number is asked for that is larger: it would not fit into a database's column."""
Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The campaign's short name.")]
KeyDate = Annotated[
    str | None,
    typer.Option("--key-date", metavar="NAME", rich_help_panel=_DATES, help="A key date: campaign keydates list."),
]
Every = Annotated[
    str | None,
    typer.Option(
        "--every",
        metavar="WORDS",
        rich_help_panel=_DATES,
        help="A recurrence: 'first monday', 'day 15', 'last friday'.",
    ),
]
Once = Annotated[
    str | None,
    typer.Option("--once", metavar="MOMENT", rich_help_panel=_DATES, help="A single day and time: 2027-01-11T09:00."),
]
Remind = Annotated[
    list[str] | None,
    typer.Option(
        "--remind", metavar="30d", rich_help_panel=_DATES, help="A step that long before: 30d, 2w. Repeat for more."
    ),
]
OnTheDay = Annotated[
    bool | None, typer.Option("--on-the-day/--not-on-the-day", rich_help_panel=_DATES, help="A step on the day itself.")
]
After = Annotated[
    list[str] | None,
    typer.Option("--after", metavar="3d", rich_help_panel=_DATES, help="A step that long after: 3d, 1w."),
]
At = Annotated[
    str | None, typer.Option("--at", metavar="09:00", rich_help_panel=_CLOCK, help="The time of day. Default: 09:00.")
]
Local = Annotated[
    bool,
    typer.Option("--local-time", rich_help_panel=_CLOCK, help="On each reader's own clock: usual for key dates."),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="ZONE",
        rich_help_panel=_CLOCK,
        help="On the clock of one zone: usual for --every and --once.",
    ),
]
Lists = Annotated[
    list[str] | None,
    typer.Option("--list", metavar="NAME", rich_help_panel=_AUDIENCE, help="Whose people get it. Repeat for more."),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="RULE", rich_help_panel=_AUDIENCE, help="Only those: country=US,GB language=en."),
]
InSegment = Annotated[
    str | None,
    typer.Option("--segment", metavar="NAME", rich_help_panel=_AUDIENCE, help="Only those: campaign segments list."),
]
Topics = Annotated[
    str | None,
    typer.Option("--topics", metavar="A,B", rich_help_panel=_WORDS, help="Articles with any of these topics: a,b."),
]
Pin = Annotated[
    list[str] | None,
    typer.Option(
        "--pin", metavar="ARTICLE", rich_help_panel=_WORDS, help="An article that comes first. Repeat for more."
    ),
]
Most = Annotated[
    int | None,
    typer.Option("--most", metavar="NUMBER", rich_help_panel=_WORDS, help="At most so many articles. Default: 6."),
]
Language = Annotated[
    str | None,
    typer.Option(
        "--language", metavar="en", rich_help_panel=_WORDS, help="For readers whose own language has no words here."
    ),
]
Title = Annotated[
    str | None, typer.Option("--title", metavar="TEXT", rich_help_panel=_WORDS, help="Heading of the letter.")
]
Intro = Annotated[
    str | None,
    typer.Option(
        "--intro", metavar="TEXT", rich_help_panel=_WORDS, help="Your own words before the articles, in Markdown."
    ),
]
Subject = Annotated[
    str | None, typer.Option("--subject", metavar="TEXT", rich_help_panel=_WORDS, help="Subject of the letter.")
]
InDoubt = Annotated[
    str | None,
    typer.Option(
        "--in-doubt",
        metavar="POLICY",
        rich_help_panel=_RULES,
        help="Letters whose arrival is unknown: hold, resend, expire.",
    ),
]
Each = Annotated[
    bool | None,
    typer.Option("--each-edition/--once-for-all", rich_help_panel=_RULES, help="Approve every edition by itself."),
]


def pairs_of(words: list[str]) -> dict[str, str]:
    """Read `COLUMN=FIELD`; a column's own name may hold the sign, too."""
    from campaign.domain.errors import BadInput

    found = {}
    for word in words:
        column, equals, name = word.rpartition("=")
        if not equals or not column.strip() or not name.strip():
            raise BadInput(f"--map {word} names no column and field.", remedy='Write --map "Your mail=address".')
        found[column.strip()] = name.strip().casefold()
    return found
