"""Files that the page carries: styles, scripts and the 3D viewer."""

from pathlib import Path

from unimat.report.payload import packed

# Later ones use earlier ones; one scope holds them all, and nothing leaks into the page.
SCRIPTS = ("page", "rows", "table", "cards", "geometry", "cif", "viewer", "dialog", "start")
VIEWER = "static/3dmol/3Dmol-min.js"  # 3Dmol.js 2.5.5, BSD-3-Clause; see README.md beside it

_FOLDER = Path(__file__).parent


def styles() -> str:
    """Style sheets of the page."""
    return "\n".join(_read(f"templates/{name}.css") for name in ("report", "browser", "cards"))


def scripts() -> str:
    """Scripts of the crystal table as one, strict and in a scope of its own."""
    body = "\n".join(_read(f"templates/crystals/{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{body}}})();'


def viewer_library() -> str:
    """3Dmol.js, packed: 0.2 MB of the page instead of 0.5."""
    return packed((_FOLDER / VIEWER).read_bytes())


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
