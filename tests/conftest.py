"""What holds for all tests: what they need that a newcomer lacks, and how the rest of them are run later."""

import os
from pathlib import Path

import pytest

from tests.needs import DATA_VARIABLE, lacking

# pytest runs one process per core; threads of numpy and torch on top of that only spin on each other's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

LACKED = "lacked"  # property of the report of a test that could not run here
DONE = "unimat/done"  # key in pytest's cache: tests of the last run that did not lack anything


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--remaining",
        action="store_true",
        help="run what the last run skipped for want of a package, a program or data; no test may be skipped",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that hears of every outcome
        config.pluginmanager.register(_Done(config))


class _Done:
    """Remembers, in pytest's cache, which tests of this run had all that they need."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.done = set(config.cache.get(DONE, [])) if config.option.remaining else set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not any(name == LACKED for name, _ in report.user_properties):
            self.done.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        cache = getattr(self.config, "cache", None)  # none with -p no:cacheprovider
        if cache and not self.config.option.collectonly:
            cache.set(DONE, sorted(self.done))
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.config.option.remaining and self.done:
            session.exitstatus = pytest.ExitCode.OK  # nothing was lacking the first time


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.remaining:
        done = set(config.cache.get(DONE, []))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
        items[:] = [item for item in items if item.nodeid not in done]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if reason := lacking(item):
        item.user_properties.append((LACKED, reason))
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.skipped and item.config.option.remaining and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, though nothing may be lacking: {report.longrepr[2]}"
    return report


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Caches that commands keep for their user, apart from those of whoever runs the tests."""
    os.environ["UNIMAT_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def published_data(request: pytest.FixtureRequest) -> Path:
    """Folder of published data; for tests marked `published`, or they would fail where there is none."""
    assert request.node.get_closest_marker("published"), "mark this test published"
    return Path(os.environ[DATA_VARIABLE])
