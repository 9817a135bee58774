"""Learn the distances and volumes of elements that ship, and chances, from a library, and write them.

unimat templates crystals.parquet --out-file library.parquet
python docs/element_vectors.py library.parquet --learned-from "which crystals, their licence"
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from unimat import crystal_table
from unimat.files import whole_file
from unimat.materials.datasets.sets import crystals_of
from unimat.materials.search import aflow
from unimat.materials.search.calibration import calibrated
from unimat.materials.search.exchange import FILE
from unimat.materials.search.learning import learn
from unimat.materials.search.templates import Templates

OUT = Path(__file__).parents[1] / "unimat/materials/search" / FILE
TABLES = ("volumes", "vectors")


def one_line_each(values: dict[str, Any]) -> str:
    """JSON with a line for each element."""
    text = json.dumps({key: value for key, value in values.items() if key not in TABLES}, indent=1)[:-2]
    for name in TABLES:
        rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values[name].items())
        text += f',\n "{name}": {{\n{rows}\n }}'
    return f"{text}\n}}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", help="made by `unimat templates`")
    calibrate = "crystals that chances are fitted to, such as a validation split; they may be among the templates"
    parser.add_argument("--calibrate", required=True, metavar="SET", help=calibrate)
    parser.add_argument("--learned-from", required=True, help="which crystals, and their licence")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    templates = Templates(crystal_table.read(args.library), args.library)
    learned = learn(templates, args.seed)
    # Chances hold for a large library and for AFLOW's few prototypes: one fit for both.
    learned = calibrated(learned, [templates, aflow.library()], crystals_of(args.calibrate), seed=args.seed)
    with whole_file(OUT) as new:
        new.write_text(one_line_each({"learned_from": args.learned_from, **learned.to_json()}), encoding="utf-8")


if __name__ == "__main__":
    main()
