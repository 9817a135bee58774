"""Stand-in for `unimat`: makes the files that a command promises, their content being the command itself."""

import itertools
import json
import pathlib
import sys

NAMES = {
    "ingest": ["train.parquet", "val.parquet", "test.parquet", "rejected.parquet", "card.json", "card.html"],
    "encode": ["train/shard", "val/shard", "test/shard", "encoding.json", "rejected.parquet"],
    "train": ["model.npz", "history.csv", "training.json"],
    "pretrained": ["model.npz", "history.csv", "training.json"],
    "sample": ["crystals.parquet", "rejected.parquet", "sampling.json"],
    "select": ["crystals.parquet", "rejected.parquet"],
    "substitute": ["crystals.parquet", "rejected.parquet"],
    "airss": ["crystals.parquet", "rejected.parquet"],
    "screen": ["crystals.parquet", "rejected.parquet", "screen.json", "core_hours.csv"],
    "agreement": ["agreement.json", "agreement.parquet"],
    "reference": ["reference.parquet", "reference.json"],
    "hull": ["stability.parquet", "stability.json", "stability_by_reference.parquet", "verdict_flips.parquet"],
    "fetch": ["manifest.json"],
}
FILE_FLAGS = (
    "--out-file",
    "--verdicts",
    "--verdicts-csv",
    "--summary",
    "--headline",
    "--rejected",
    "--pairs",
)

command, *words = sys.argv[1:]
if any('"fail"' in word for word in words):
    sys.exit(f"unimat {command}: error: told to fail")
flags = dict(itertools.pairwise(words))
if command in NAMES:
    files = [pathlib.Path(flags["--out"], name) for name in NAMES[command]]
else:
    files = [pathlib.Path(flags[flag]) for flag in FILE_FLAGS if flag in flags]
    files += [pathlib.Path(words[1])] if command == "convert" else []
if command == "reproduction":
    name = pathlib.Path(flags["--run-dir"]).name
    files = [pathlib.Path(flags["--out"], name + end) for end in (".json", "_crystals.svg", "_loss.svg")]
if "--figures" in flags:
    files.append(pathlib.Path(flags["--figures"], "loss.svg"))
for file in files:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{file.name} of {command} {' '.join(words)}\n", encoding="utf-8")
with pathlib.Path("calls.txt").open("a", encoding="utf-8") as log:
    log.write(f"{command} {' '.join(words)}\n")
with pathlib.Path("calls.jsonl").open("a", encoding="utf-8") as log:
    log.write(json.dumps([command, *words]) + "\n")
