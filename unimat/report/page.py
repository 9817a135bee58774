"""The page: sections put into the template, everything inside one file."""

import dataclasses
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from unimat.report.blocks import Section
from unimat.report.headline import Headline, headlines
from unimat.report.quantities import rich
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections import comparison, gallery, quality, relaxation, requests, stability, trust
from unimat.report.sections import run as run_sections
from unimat.report.settings import ReportSettings
from unimat.report.svg import COLOURS


@dataclasses.dataclass(frozen=True)
class Report:
    """A finished report: the page, its headline numbers and its figures by name."""

    html: str
    headlines: list[Headline]
    figures: dict[str, Figure]


def make_report(
    run: RunFiles, settings: ReportSettings, page: str | Path, config: dict[str, Any] | None = None
) -> Report:
    """Report of a run.

    Args:
        page: where the page will stand; its link to the data card is relative to that.
        config: the run's whole configuration, shown under "How to reproduce".

    Raises:
        UserError: if `settings.set` names a set that the run does not have.
    """
    primary = run.primary(settings.set)
    found = headlines(run, settings.set)
    sections = _sections(run, primary, settings, Path(page), config)
    html = _template().render(
        title=settings.title or f"UniMat run “{run.name}”",
        subtitle=_subtitle(run, primary),
        headlines=found,
        sections=sections,
        css=_read("report.css"),
        light=COLOURS,
    )
    figures = {name: figure for section in sections for name, figure in section.figures.items()}
    return Report(html, found, figures)


def _sections(
    run: RunFiles, primary: SetFiles | None, settings: ReportSettings, page: Path, config: dict[str, Any] | None
) -> list[Section]:
    return [
        run_sections.what_was_run(run, page),
        run_sections.training(run),
        *requests.obedience(run),
        quality.validity(run),
        quality.distributions(run, primary),
        relaxation.relaxation(run),
        stability.stability(run, primary, settings.max_energy),
        gallery.best(run, primary, settings.best),
        comparison.comparison(run),
        trust.caveats(run, primary),
        trust.reproduce(run, settings.command, config),
    ]


def _subtitle(run: RunFiles, primary: SetFiles | None) -> str:
    sets = ", ".join(run.sets) or "none"
    dataset = (run.card or {}).get("name")
    parts = [f"Dataset {dataset}"] if dataset else []
    parts.append(f"sets: {sets}")
    if primary is not None:
        parts.append(f"headline numbers speak of the set “{primary.name}”")
    return "; ".join(parts)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unimat.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rich"] = rich
    return environment.get_template("report.html.j2")


def _read(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
