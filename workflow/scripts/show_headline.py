"""Print where a run's report is and its headline numbers: python show_headline.py results/demo."""

import json
import sys
from pathlib import Path


def line(number: dict) -> str:
    """One headline number with its denominator."""
    if number["value"] is None:
        return f"{number['name']}: not computed ({number['note']})"
    if number["unit"] == "fraction":
        return f"{number['name']}: {number['count']} of {number['of']} ({number['value']:.1%}), {number['note']}"
    return f"{number['name']}: {number['value']:+.3f} {number['unit']}, {number['count']} pairs, {number['note']}"


if __name__ == "__main__":
    run = Path(sys.argv[1])
    print(f"\nReport: {run / 'report.html'}")
    for number in json.loads((run / "headline.json").read_text(encoding="utf-8")):
        print(f"  {line(number)}")
