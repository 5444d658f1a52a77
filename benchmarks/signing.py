"""What a signature costs for each letter, and whether three verifiers that others wrote agree with every one of them.

`python -m benchmarks.signing [--letters N]`

The verifiers are dkimpy, Perl's Mail::DKIM (Debian: apt-get install libmail-dkim-perl) and mailauth for Node
(npm install mailauth, and NODE_PATH); the last two are asked where they are installed. None of them asks the network.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import dkim

from benchmarks.audit import Score
from campaign.assets import asset
from campaign.domain.addresses import Address
from campaign.mail.composer import Compiled, compile_letter, compose, fill
from campaign.mail.dkim import NamedKey, Signer
from campaign.mail.renderer import Renderer
from campaign.mail.signatures import octets_of
from campaign.settings.signing import Algorithm, SigningKey
from tests.mail.samples import ARTICLE, CONTEXT, KIND_OF, LANGUAGES, READER, spec, write_template

LETTERS: Final = 2_000
ROUNDS: Final = 5
_ASKS: Final = "{% if person.name == 'abc' %}you{% else %}them{% endif %}"
_BESIDES: Final = 60
"""Microseconds that all but the signature itself may take; measured with ed25519, beside which it can be seen."""

_PERL: Final = r"""
use strict; use warnings; use JSON::PP; use Mail::DKIM::Verifier; use Net::DNS::RR;
my $records = decode_json($ARGV[0]);
{ no warnings 'redefine'; *Mail::DKIM::DNS::query = sub {
    my $text = $records->{$_[0]} or return ();
    return Net::DNS::RR->new(owner => $_[0], type => 'TXT', txtdata => [unpack '(A255)*', $text]); }; }
for my $file (sort glob "$ARGV[1]/*.eml") {
    my $verifier = Mail::DKIM::Verifier->new(); open my $in, '<:raw', $file or die;
    $verifier->PRINT(do { local $/; <$in> }); $verifier->CLOSE;
    my @said = map { $_->result } $verifier->signatures;
    print "$file ", (@said && !grep({ $_ ne 'pass' } @said) ? 'pass' : 'fail'), "\n"; }
"""
_NODE: Final = r"""
const { dkimVerify } = require('mailauth/lib/dkim/verify'); const fs = require('fs');
const [records, folder] = [JSON.parse(process.argv[1]), process.argv[2]];
const resolver = async name => { if (records[name]) return [[records[name]]]; throw new Error('no ' + name); };
(async () => { for (const name of fs.readdirSync(folder)) { const file = folder + '/' + name;
    const { results } = await dkimVerify(fs.readFileSync(file), { resolver });
    console.log(file, results.every(one => one.status.result === 'pass') ? 'pass' : 'fail'); } })();
"""

TAMPERINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "leaving": lambda letter: letter.replace(b"/u/unsubscribe", b"/u/evil", 1),
    "stayed": lambda letter: re.sub(rb"List-Unsubscribe:.*\r\n .*\r\n", b"", letter),
    "body": lambda letter: letter.replace(b"modern slavery", b"modern history", 1),
    "from": lambda letter: b"From: evil@example.net\r\n" + letter,
    "subject": lambda letter: letter.replace(b"\r\n\r\n", b"\r\nSubject: Another\r\n\r\n", 1),
}


def _signers() -> dict[str, Signer]:
    keys = {kind.value: NamedKey(f"{kind}-2027", SigningKey.fresh(kind)) for kind in Algorithm}
    return {name: Signer("example.org", [key]) for name, key in keys.items()}


async def _letters(folder: Path) -> tuple[Compiled, list[bytes]]:
    """Return the digest as it is compiled, and one letter of each kind, language and sort of name."""
    write_template(folder, "choosy", subject=f"For {_ASKS}", text=f"Read, {_ASKS}.\n\n\n", html=f"<p>Read, {_ASKS}</p>")
    now = datetime.now(UTC).replace(microsecond=0)
    readers = [
        READER._replace(date=now, name=name, to=Address(local, "example.org"))
        for name, local in (("Ünïcode Näme", "reader-07"), ("", "reader-08"), ("Ελένη " * 12, "квітка"))
    ]
    async with Renderer([folder, asset("templates")]) as renderer:
        large = {**CONTEXT, "articles": [ARTICLE] * 4}
        specs = [spec(template, language) for template in KIND_OF for language in LANGUAGES]
        specs += [spec("digest", text_only=True), spec("choosy"), spec("digest", context=large)]
        compiled = [await compile_letter(renderer, one) for one in specs]
        letters = [await compose(renderer, one, reader) for one in compiled for reader in readers]
    return compiled[-1], letters


def _by_dkimpy(records: Mapping[str, str], folder: Path) -> Iterator[tuple[str, bool]]:
    for path in folder.glob("*.eml"):
        yield path.stem, dkim.verify(path.read_bytes(), dnsfunc=lambda name, **_: records[name.decode().rstrip(".")])


def _by_program(line: list[str], records: Mapping[str, str], folder: Path) -> Iterator[tuple[str, bool]]:
    done = subprocess.run([*line, json.dumps(records), str(folder)], capture_output=True, text=True, check=True)
    for said in done.stdout.splitlines():
        path, _, verdict = said.rpartition(" ")
        yield Path(path).stem, verdict == "pass"


def _works(*line: str) -> bool:
    found = shutil.which(line[0])
    return found is not None and not subprocess.run([found, *line[1:]], capture_output=True, check=False).returncode


def _verifiers() -> Iterator[tuple[str, tuple[str, ...], Callable[..., Iterator[tuple[str, bool]]]]]:
    """Yield each verifier that is there, and the algorithms that it knows."""
    both = tuple(kind.value for kind in Algorithm)
    yield "dkimpy", both, _by_dkimpy
    if _works("perl", "-MMail::DKIM::Verifier", "-e1"):
        known = both if _works("perl", "-MMail::DKIM::Algorithm::ed25519_sha256", "-e1") else both[:1]
        yield "Mail::DKIM", known, lambda *what: _by_program(["perl", "-e", _PERL], *what)
    if _works("node", "-e", "require('mailauth/lib/dkim/verify')"):
        yield "mailauth", both, lambda *what: _by_program(["node", "-e", _NODE], *what)


def verify(score: Score, signers: Mapping[str, Signer], letters: list[bytes]) -> None:
    """Have every letter read by every verifier, as it is and as others would like it."""
    for kind, signer in signers.items():
        records = {f"{one.selector}._domainkey.example.org": one.key.record for one in signer.keys}
        with tempfile.TemporaryDirectory(prefix="campaign-dkim-") as name:
            folder = Path(name)
            for number, letter in enumerate(letters):
                signed = signer.sign(letter, datetime.now(UTC))
                (folder / f"good-{number}.eml").write_bytes(signed)
                for how, change in TAMPERINGS.items():
                    if (changed := change(signed)) != signed:
                        (folder / f"bad-{number}-{how}.eml").write_bytes(changed)
            tampered = len(list(folder.glob("bad-*")))
            for verifier, known, ask in _verifiers():
                if kind not in known:
                    print(f"       {verifier} knows no {kind}", flush=True)
                    continue
                said = dict(ask(records, folder))
                good = sum(right for file, right in said.items() if file.startswith("good-"))
                refused = sum(not right for file, right in said.items() if file.startswith("bad-"))
                score.check(f"{kind}: letters that {verifier} finds good", good, len(letters))
                score.check(f"{kind}: tampered letters that {verifier} finds bad", refused, tampered)


def _cost(work: Callable[[], object], times: int) -> float:
    """Return microseconds of CPU, the median of some rounds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(times):
            work()
        taken.append(1e6 * (time.thread_time() - began) / times)
    return statistics.median(taken)


def cost(score: Score, signers: Mapping[str, Signer], compiled: Compiled, letters: int) -> None:
    """Measure one processor's time for each letter, beside that of the signature alone."""
    reader = READER._replace(date=datetime.now(UTC))
    letter = fill(compiled, reader)
    filling = _cost(lambda: fill(compiled, reader), letters)
    print(f"\n       a letter of {len(letter) / 1000:.1f} kB is filled in, in {filling:,.0f} us", flush=True)
    for kind, signer in signers.items():
        bare = NamedKey("bare", signer.keys[0].key)
        alone = _cost(lambda bare=bare: octets_of(bare.key.private, bytes(2_200)), letters)
        whole = _cost(lambda signer=signer: signer.sign(letter, reader.date), letters)
        print(f"       {kind}: {whole:,.0f} us a letter, of which the signature itself {alone:,.0f}", flush=True)
        if not signer.slow:
            score.at_most("us for all but the signature", whole - alone, _BESIDES)


def measure(score: Score, letters: int = LETTERS) -> None:
    """Ask the verifiers, and measure."""
    print("\nSignatures", flush=True)
    with tempfile.TemporaryDirectory(prefix="campaign-dkim-") as name:
        compiled, made = asyncio.run(_letters(Path(name)))
    signers = _signers()
    verify(score, signers, made)
    cost(score, signers, compiled, letters)


def main() -> int:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--letters", type=int, default=LETTERS)
    score = Score()
    measure(score, **vars(options.parse_args()))
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
