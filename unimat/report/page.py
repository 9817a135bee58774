"""The page: sections put into the template, everything inside one file."""

import dataclasses
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from unimat.report.assets import scripts, styles, viewer_library
from unimat.report.blocks import Section
from unimat.report.headline import Headline, headlines
from unimat.report.quantities import rich
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections import (
    beside_paper,
    browser,
    caveats,
    comparison,
    cost,
    distributions,
    dynamics,
    failures,
    gallery,
    prediction,
    quality,
    relaxation,
    requests,
    screening,
    sizes,
    stability,
)
from unimat.report.sections import run as run_sections
from unimat.report.settings import ReportSettings
from unimat.report.stages import read_jobs
from unimat.report.svg import COLOURS


@dataclasses.dataclass(frozen=True)
class Report:
    """A finished report: the page, its headline numbers and its figures by name."""

    html: str
    headlines: list[Headline]
    figures: dict[str, Figure]


def make_report(
    run: RunFiles,
    settings: ReportSettings,
    page: str | Path,
    config: dict[str, Any] | None = None,
    benchmarks: str | Path | None = None,
) -> Report:
    """Report of a run.

    Args:
        page: where the page will stand; its link to the data card is relative to that.
        config: the run's whole configuration, shown under "How to reproduce".
        benchmarks: Snakemake's folder of benchmark files, for the time of the stages.

    Raises:
        UserError: if `settings.set` names a set that the run does not have.
    """
    primary = run.primary(settings.set)
    found = headlines(run, settings.set)
    jobs, broken = (None, []) if benchmarks is None else read_jobs(benchmarks, run.name)
    sections = [
        *_sections(run, primary, settings, Path(page)),
        caveats.caveats(run, primary),
        cost.cost(run, jobs, broken),
        caveats.reproduce(run, settings.command, config),
    ]
    html = template().render(
        title=settings.title or f"UniMat run “{run.name}”",
        subtitle=_subtitle(run, primary),
        headlines=found,
        sections=sections,
        css=styles(),
        scripts=scripts(),
        library=viewer_library(),
        has_browser=any(block.kind == "browser" for section in sections for block in section.blocks),
        light=COLOURS,
        made="Made by unimat from the files of the run alone.",
    )
    figures = {name: figure for section in sections for name, figure in section.figures.items()}
    return Report(html, found, figures)


def _sections(run: RunFiles, primary: SetFiles | None, settings: ReportSettings, page: Path) -> list[Section]:
    return [
        *beside_paper.beside_paper(run),
        run_sections.what_was_run(run, page),
        run_sections.training(run),
        *requests.obedience(run),
        *prediction.prediction(run),
        quality.validity(run),
        distributions.distributions(run, primary),
        sizes.sizes(run, primary),
        relaxation.relaxation(run),
        stability.stability(run, primary, settings.max_energy),
        failures.failures(run, primary),
        gallery.best(run, primary, settings.best),
        browser.browser(run, primary, settings.crystals),
        *screening.screening(run),
        *dynamics.dynamics(run),
        comparison.comparison(run),
    ]


def _subtitle(run: RunFiles, primary: SetFiles | None) -> str:
    sets = ", ".join(run.sets) or "none"
    dataset = (run.card or {}).get("name")
    parts = [f"Dataset {dataset}"] if dataset else []
    parts.append(f"sets: {sets}")
    if primary is not None:
        parts.append(f"headline numbers speak of the set “{primary.name}”")
    return "; ".join(parts)


def template() -> jinja2.Template:
    """The page, to be filled."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unimat.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rich"] = rich
    return environment.get_template("report.html.j2")
