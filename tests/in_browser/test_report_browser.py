"""The report in a real browser: Debian's Chromium, without a window and without a network."""

import pytest

pytestmark = pytest.mark.system("chromium")

WIDTHS = (1280, 390)
PATIENCE = 180_000  # ms; starting a browser on a busy machine takes its time


@pytest.fixture(scope="module", params=WIDTHS)
def opened(request, browser, page_file):
    """The page at one width, with what it logged and what it asked the network for."""
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    logged, requested = [], []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda asked: requested.append(asked.url))
    page.goto(page_file.as_uri(), timeout=PATIENCE)
    yield page, logged, requested
    page.close()


def test_nothing_is_logged_and_nothing_fetched(opened, page_file):
    _, logged, requested = opened
    assert logged == []
    assert [url for url in requested if not url.startswith("data:")] == [page_file.as_uri()]


def test_every_picture_is_drawn(opened):
    page, _, _ = opened
    boxes = page.eval_on_selector_all(
        "main svg", "all => all.map(svg => { const b = svg.getBBox(); return [svg.clientWidth, b.width, b.height] })"
    )
    assert len(boxes) == 15
    assert all(min(box) > 50 for box in boxes)


def test_colours_of_the_figures_are_known_to_the_page(opened):
    page, _, _ = opened
    strokes = page.eval_on_selector_all(
        "main svg.figure path",
        "all => [...new Set(all.map(p => getComputedStyle(p).stroke + getComputedStyle(p).fill))]",
    )
    assert any("rgb(31, 95, 168)" in each for each in strokes)  # series-1 of the light theme
    undefined = page.evaluate(
        """() => [...new Set(document.documentElement.outerHTML.match(/var\\(--[\\w-]+/g))]
            .map(each => each.slice(4))
            .filter(name => !getComputedStyle(document.documentElement).getPropertyValue(name))"""
    )
    assert undefined == []


def test_the_page_never_scrolls_sideways(opened):
    page, _, _ = opened
    width, scroll = page.evaluate("[window.innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width


def test_dark_theme_is_readable(browser, page_file):
    page = browser.new_page(color_scheme="dark")
    page.goto(page_file.as_uri(), timeout=PATIENCE)
    contrast = page.evaluate(CONTRAST)
    page.close()
    assert min(contrast.values()) >= 4.5, contrast  # WCAG 2.1, 1.4.3, level AA


def test_light_theme_is_readable(browser, page_file):
    page = browser.new_page(color_scheme="light")
    page.goto(page_file.as_uri(), timeout=PATIENCE)
    contrast = page.evaluate(CONTRAST)
    page.close()
    assert min(contrast.values()) >= 4.5, contrast


# Relative luminance and contrast ratio as WCAG 2.1 defines them, of every pair of text and ground that the page uses.
CONTRAST = """() => {
  const probe = document.body.appendChild(document.createElement('i'));
  const luminance = name => {
    probe.style.color = `var(--${name})`;
    const rgb = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255);
    const [r, g, b] = rgb.map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pairs = [['ink', 'page'], ['muted', 'page'], ['link', 'page'], ['ink', 'raised'], ['muted', 'raised'],
    ['attention-ink', 'attention'], ['series-1', 'page'], ['good', 'page'], ['warn', 'page']];
  const found = {};
  for (const [text, ground] of pairs) {
    const [a, b] = [luminance(text), luminance(ground)].sort((x, y) => y - x);
    found[`${text} on ${ground}`] = (a + 0.05) / (b + 0.05);
  }
  probe.remove();
  return found;
}"""
