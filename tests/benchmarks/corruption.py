"""Files of a run that are damaged at random, and what the commands that read them make of it.

One small run is made by the commands themselves (`small_run.py`). Then a file is damaged in a copy of it: a bit
flipped, bytes overwritten or lost, the end cut off, a digit or a line changed in text. The command that reads the file
is called, in this process, and its output is held against that of the sound run. It may refuse in one line that names
the file, or compute again what it cannot trust; to go on with another result, or with a traceback, is a fault.

Each call draws other damage and prints its seed; --seed repeats one.
"""

import argparse
import collections
import dataclasses
import hashlib
import json
import os
import random
import secrets
import shutil
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# XLA reads them when it is loaded; programs this small need no optimization.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from harness import Figure, finish, say
from small_run import STEPS, build, call

OUT = "out/"
TOLD, AGAIN, HARMLESS = "told in one line", "made again", "the same all the same"
FAULTS = SILENT, TRACEBACK, UNNAMED = "another result", "traceback", "told without its name"
OUTCOMES = (TOLD, AGAIN, HARMLESS, *FAULTS)


@dataclasses.dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        name: of the kind. files: patterns of them, from the run's folder, and the commands that read each.
        share: of the trials, in relation to other kinds; those whose readers take long have less.
        without: a folder that is not there when they are read, since it would do in their place.
    """

    name: str
    files: dict[str, tuple[str, ...]]
    share: float = 1.0
    without: str | None = None


REPORT = ("report",)
KINDS = (
    Kind("fetched file", {"fetched/*.csv": ("ingest",)}),
    Kind("manifest of fetched files", {"fetched/manifest.json": ("ingest",)}),
    Kind(
        "crystal table",
        {
            "dataset/train.parquet": ("encode", "metrics", "hull"),
            "dataset/val.parquet": ("select", "encode", "match"),
            "dataset/test.parquet": ("encode", "metrics", "compositions"),
            "sets/b/crystals.parquet": ("metrics", "match", "gather", "report"),
        },
        2,
    ),
    Kind("data card", {"dataset/card.json": REPORT}),
    Kind("index of encoded crystals", {"encoded/encoding.json": ("train",)}, 0.4),
    Kind("encoded crystals", {"encoded/train/*.arrow": ("train",), "encoded/val/*.arrow": ("train",)}, 0.4),
    Kind("settings of a training", {"work/train/settings.json": ("train",)}, 0.4),
    Kind("checkpoint", {f"work/train/checkpoints/{STEPS['steps']}/**/*": ("train",)}, 0.6),
    Kind("history of a training that goes on", {"work/train/*.csv": ("train",)}, 0.4),
    Kind("model", {"model/model.npz": ("sample",)}, 0.6),
    Kind("summary of a training", {"model/training.json": REPORT}),
    Kind("history of a training", {"model/history.csv": REPORT}),
    Kind("compositions to sample", {"compositions.csv": ("sample compositions",)}, 0.6),
    Kind("batch of an unfinished sampling", {"unfinished/.sampling-*/*/*": ("sample again",)}, 0.6),
    Kind("rejected table", {"sets/b/rejected.parquet": ("metrics", "report"), "dataset/rejected.parquet": REPORT}),
    Kind("report of a sampling", {"sets/generated/sampling.json": REPORT}),
    Kind("table of a shard", {"shards/b-*.parquet": ("gather",)}),
    Kind("journal of relaxations", {f"work/relax/*b-{k}*.jsonl": (f"relax b-{k}",) for k in (1, 2)}, 2, "work/relaxed"),
    Kind("cache of relaxations", {"work/relaxed/*.jsonl": ("relax b-1", "relax b-2")}, 2, "work/relax"),
    Kind("relaxed table", {"sets/b/relaxed.parquet": ("hull", "agreement", "screen", "md", "report")}, 2),
    Kind("summary of relaxations", {"sets/b/relaxed.json": REPORT}),
    Kind("hull reference", {"hull/reference.parquet": ("hull", "report")}, 2),
    Kind("summary of a hull reference", {"hull/reference.json": REPORT}),
    Kind(
        "stability table",
        {
            "sets/a/stability.parquet": ("compare",),
            "sets/b/stability.parquet": ("compare", "screen", "agreement", "md"),
        },
        2,
    ),
    Kind("summary of stabilities", {"sets/b/stability.json": ("compare", "agreement", "report")}, 2),
    Kind("comparison", {"compare/*": REPORT}),
    Kind("agreement", {"sets/b/agreement.*": REPORT}),
    Kind("screening", {"sets/best/screen.json": REPORT}),
    Kind("metrics", {"sets/b/metrics.json": REPORT, "sets/b/verdicts.parquet": REPORT}),
    Kind("cache of metrics", {"work/cache/*/*.parquet": ("metrics",), "work/cache/*.json": ("metrics", "hull")}),
    Kind("prediction", {"sets/b/prediction.*": REPORT}),
    Kind("restart point of dynamics", {"work/md/**/*.npz": ("md",)}),
    Kind("dynamics", {"sets/b/dynamics.*": REPORT}),
)


def flipped(content: bytes, draw: random.Random) -> bytes:
    """One bit is another."""
    at = draw.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


def overwritten(content: bytes, draw: random.Random) -> bytes:
    """Up to 64 bytes are others, or zeros."""
    at, size = draw.randrange(len(content)), draw.randint(1, 64)
    there = len(content[at : at + size])
    return content[:at] + draw.choice([draw.randbytes(there), bytes(there)]) + content[at + size :]


def cut(content: bytes, draw: random.Random) -> bytes:
    """The end is lost."""
    return content[
        : draw.choice([draw.randrange(len(content)), len(content) // 2, max(0, len(content) - draw.randint(1, 9))])
    ]


def lost(content: bytes, draw: random.Random) -> bytes:
    """Bytes within are lost."""
    at = draw.randrange(len(content))
    return content[:at] + content[at + draw.randint(1, 200) :]


def edited(content: bytes, draw: random.Random) -> bytes:
    """One digit of a text is another."""
    places = [at for at, byte in enumerate(content) if 48 <= byte <= 57]
    if not places:
        return flipped(content, draw)
    at = draw.choice(places)
    return content[:at] + str((content[at] - 48 + draw.randint(1, 9)) % 10).encode() + content[at + 1 :]


def without_a_line(content: bytes, draw: random.Random) -> bytes:
    """One line of a text is gone."""
    lines = content.splitlines(keepends=True)
    lines.pop(draw.randrange(len(lines)))
    return b"".join(lines)


DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, overwritten, cut, lost)
DAMAGE_OF_TEXT = (*DAMAGE, edited, edited, edited, without_a_line)
TEXT = (".json", ".jsonl", ".csv")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One damaged file: what was done to it, what came of it, and the words or the difference that show it."""

    kind: str
    file: str
    damage: str
    outcome: str
    detail: str


def outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, the clock left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "speed.csv":
            content = path.read_bytes()
            if path.name == "training.json":
                about = json.loads(content)
                content = json.dumps({key: value for key, value in about.items() if key not in CLOCK}).encode()
            found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


CLOCK = ("speed", "files", "content_sha256")


class Corruption:
    """A sound run in `folder`, and copies of it that are damaged."""

    def __init__(self, folder: Path):
        self.sound, self.copy = folder / "sound", folder / "copy"
        self.sound.mkdir()
        os.chdir(self.sound)
        build()
        self.expected: dict[str, dict[str, str]] = {}

    def fresh(self, without: str | None = None) -> None:
        """Another copy of the run, which the next command works in."""
        os.chdir(self.sound)
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.sound, self.copy, symlinks=True)
        os.chdir(self.copy)
        if without:
            shutil.rmtree(without)

    def made(self, reader: str) -> dict[str, str]:
        """What a reader leaves."""
        return outputs(self.copy / ("unfinished" if reader == "sample again" else OUT))

    def sound_output(self, reader: str) -> dict[str, str]:
        if reader not in self.expected:
            self.fresh()
            code, said = call(reader, OUT)
            assert code == 0, said
            self.expected[reader] = self.made(reader)
        return self.expected[reader]

    def files_of(self, kind: Kind) -> list[tuple[Path, str]]:
        """Files of a kind, each with every command that reads it."""
        found = [(path, each) for pattern, each in kind.files.items() for path in sorted(self.sound.glob(pattern))]
        whole = [(path, each) for path, each in found if path.is_file() and path.stat().st_size]
        return [(path.relative_to(self.sound), reader) for path, readers in whole for reader in readers]

    def trial(self, kind: Kind, draw: random.Random) -> Trial:
        """Damage a file of a kind, and let a command read it."""
        file, reader = draw.choice(self.files_of(kind))
        expected = self.sound_output(reader)
        damage = draw.choice(DAMAGE_OF_TEXT if file.suffix in TEXT else DAMAGE)
        self.fresh(kind.without)
        content = (self.copy / file).read_bytes()
        damaged = damage(content, draw)
        while damaged == content:
            damaged = damage(content, draw)
        (self.copy / file).write_bytes(damaged)
        outcome, detail = self.outcome(reader, file, expected)
        return Trial(kind.name, str(file), f"{(damage.__doc__ or '').rstrip('.')} ({reader})", outcome, detail)

    def outcome(self, reader: str, file: Path, expected: dict[str, str]) -> tuple[str, str]:
        try:
            code, said = call(reader, OUT)
        except Exception:  # whatever a command lets through is what is looked for
            return TRACEBACK, traceback.format_exc()
        lines = [line for line in said.splitlines() if "error:" in line]
        if code:
            if len(lines) != 1 or "Traceback" in said:
                return TRACEBACK, said.strip()
            return (TOLD if str(file.name) in lines[0] else UNNAMED), said.strip()
        found = self.made(reader)
        if found != expected:
            differs = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
            return SILENT, f"differs: {', '.join(differs)}; said: {said.strip()[-500:]}"
        told = any(word in said for word in ("broken", "not readable", "is not what was written"))
        return (AGAIN if told else HARMLESS), said.strip()


def kinds_of(n: int, draw: random.Random, kinds: Sequence[Kind]) -> list[Kind]:
    """`n` kinds by their share, each at least once if there are enough."""
    shares = [kind.share for kind in kinds]
    whole = list(kinds)[:n] if n < len(kinds) else list(kinds)
    if n < len(kinds):
        whole = draw.sample(list(kinds), n)
    return [*whole, *draw.choices(list(kinds), shares, k=n - len(whole))]


def table(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """How often each outcome came of each kind of file."""
    counts = collections.Counter((trial.kind, trial.outcome) for trial in trials)
    return [
        {"kind": kind.name, "tried": n, **{outcome: counts[kind.name, outcome] for outcome in OUTCOMES}}
        for kind in KINDS
        if (n := sum(counts[kind.name, outcome] for outcome in OUTCOMES))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=300, help="damaged files (default: 300)")
    parser.add_argument("--seed", type=int, help="of the damage (default: another one each time)")
    parser.add_argument("--kind", action="append", metavar="NAME", help="only files of this kind, or these kinds")
    args = parser.parse_args()
    seed = secrets.randbits(32) if args.seed is None else args.seed
    kinds = [kind for kind in KINDS if not args.kind or kind.name in args.kind]
    say(f"seed {seed}")
    draw = random.Random(seed)
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        compiled_once(Path(scratch) / "programs")
        corruption = Corruption(Path(scratch))
        say("the run is made")
        trials = []
        for number, kind in enumerate(kinds_of(args.n, draw, kinds)):
            trials.append(corruption.trial(kind, draw))
            fault = trials[-1].outcome in FAULTS
            say(f"{number + 1}: {trials[-1].kind}: {trials[-1].outcome}" + (f"\n{trials[-1]}" if fault else ""))
        os.chdir(home)
    counts = collections.Counter(trial.outcome for trial in trials)
    n = len(trials)
    finish(
        "corruption",
        [
            Figure("damaged files", n, "files"),
            Figure("another result, silently", counts[SILENT], f"of {n}", 0),
            Figure("tracebacks", counts[TRACEBACK], f"of {n}", 0),
            Figure("refused without the name of the file", counts[UNNAMED], f"of {n}", 0),
            Figure(TOLD, counts[TOLD], f"of {n}"),
            Figure("made again, with a warning, to the same result", counts[AGAIN], f"of {n}"),
            Figure("the same result without a word", counts[HARMLESS], f"of {n}"),
        ],
        seed=seed,
        kinds=table(trials),
    )


def compiled_once(folder: Path) -> None:
    """Let programs of XLA be kept for all calls."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


if __name__ == "__main__":
    main()
