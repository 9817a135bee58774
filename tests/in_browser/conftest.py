"""Debian's Chromium, without a window and without a network, and a report for it to open."""

from pathlib import Path

import pytest

from tests.needs import chromium
from tests.report.report_run import write_run
from unimat.report.page import make_report
from unimat.report.run_files import read_run
from unimat.report.settings import ReportSettings

# WebGL by SwiftShader, on the processor: there is no GPU where tests run.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
PATIENCE = 180_000  # ms; starting a browser on a busy machine takes its time


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS, timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("results") / "demo")


@pytest.fixture(scope="session")
def page_file(run_dir) -> Path:
    path = run_dir / "report.html"
    report = make_report(read_run(run_dir), ReportSettings(best=4), path)
    path.write_text(report.html, encoding="utf-8")
    return path
