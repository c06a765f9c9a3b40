"""The page of 14 to 65,536 checkpoints in headless Chromium, on a desk and on a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from browser import PATIENCE, Browser, executable
from report_cases import scores_of

from genpredict.report import write_report
from genpredict.report.content import MOST_SVG
from genpredict.report.packing import MOST_EXACT

pytestmark = pytest.mark.skipif(
    executable() is None, reason="no Chromium on this machine; Debian's package is `chromium`"
)
COUNTS = (14, 97, 5000, pytest.param(65_536, marks=pytest.mark.slow))
WIDTHS = (1400, 420)
#: Width and height of every mark of both panels, and of what is outside of its panel.
MARKS = """(() => window.genpredict.state.panels.map(({view}) => {
    let count = 0, least = Infinity, outside = 0;
    const [width, height] = [view.width(), view.height()];
    const visit = (item) => {
        if (item.marktype === 'symbol' && item.role === 'mark') {
            for (const mark of item.items) {
                const {x1, x2, y1, y2} = mark.bounds;
                count += 1;
                least = Math.min(least, x2 - x1, y2 - y1);
                outside += mark.x < 0 || mark.y < 0 || mark.x > width || mark.y > height;
            }
        } else (item.items || []).forEach(visit);
    };
    visit(view.scenegraph().root);
    return [count, least, outside, width];
}))()"""
CONTROLS = """(() => { window.controls = [...document.querySelectorAll(
    'a[href], button, select, input, summary, [tabindex="0"]')]
    .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled);
    document.activeElement.blur(); window.reached = new Set();
    document.addEventListener('focusin', (event) => window.reached.add(event.target));
    return window.controls.length; })()"""
UNREACHED = """window.controls.filter((one) => !window.reached.has(one))
    .map((one) => one.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module", params=COUNTS)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Browser, int]]:
    """Open the page of so many checkpoints."""
    folder = tmp_path_factory.mktemp("sizes")
    scores = scores_of(request.param, layers=2)
    page = write_report(scores, folder / "r.html", by=(), interval="fisher", permutations=0)
    with Browser(folder / "profile", width=WIDTHS[0]) as browser:
        browser.open(page)
        yield browser, request.param


def resize(browser: Browser, width: int) -> None:
    """Change the window, and wait until both panels fit it."""
    browser.resize(width, 900)
    fits = "window.genpredict.state.panels.every((one) => one.width === one.chart.clientWidth)"
    until = time.monotonic() + PATIENCE
    browser.pause(0.3)
    while not browser.value(fits):
        assert time.monotonic() < until, "the panels were not drawn anew"
        browser.pause(0.1)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_mark_is_visible(opened: tuple[Browser, int], width: int) -> None:
    """A mark a checkpoint in both panels, none under 3 pixels, none outside of its panel."""
    browser, count = opened
    resize(browser, width)
    for marks, least, outside, panel in browser.value(MARKS):
        assert (marks, outside) == (count, 0)
        assert least >= 3
        assert 200 < panel < width
    assert browser.value("document.documentElement.scrollWidth") == width
    painted = browser.value("document.querySelectorAll('#chart-A canvas').length")
    told = browser.value("document.querySelector('.readout').innerText")
    assert painted == (count > MOST_SVG)
    assert (f"all {count:,} checkpoints are drawn" in told) == (count > MOST_SVG)


def test_the_page_unpacks_what_was_packed_against_scores(opened: tuple[Browser, int]) -> None:
    """Names and codes as they were; numbers too, or to a part in 65,536 of many, as it says."""
    browser, count = opened
    scores = scores_of(count, layers=2)
    state = "window.genpredict.state.data"
    ids = browser.value(f"{state}.ids")
    assert ids == scores["checkpoint"].values[:count].tolist()
    Q = scores["Q"].sel(factorization="low_rank", p=2).values[:count]
    column = f"{state}.measures.find((one) => one.key === 'Q_low_rank_p2').values"
    shown = np.array(browser.value(f"Array.from({column})"))
    few = count <= MOST_EXACT
    np.testing.assert_allclose(shown, Q, rtol=0 if few else 2.0**-16)
    assert ("rounded to one part in 65,536" in browser.value("document.body.textContent")) != few
    optimizers = browser.value(
        f"(() => {{ const c = {state}.columns.find((one) => one.key === 'optimizer');"
        "return Array.from(c.codes, (code) => c.levels[code]); })()"
    )
    given = scores["optimizer"].values[:count]
    assert optimizers == np.where(given == "", "not given", given).tolist()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_keyboard_reaches_every_control(opened: tuple[Browser, int], width: int) -> None:
    """The Tab key alone comes by every link, button, drop-down, field and table."""
    browser, _ = opened
    resize(browser, width)
    count = browser.value(CONTROLS)
    for _ in range(count + 5):
        browser.press("Tab")
    assert browser.value(UNREACHED) == []


def test_a_filter_by_keyboard(opened: tuple[Browser, int]) -> None:
    """Enter adds a filter, which keeps a third of the marks and says so; its button removes it."""
    browser, count = opened
    browser.value("document.getElementById('add-filter').focus()")
    browser.press("Enter")
    assert browser.value("document.activeElement.getAttribute('aria-label')") == "Filter by"
    browser.value(
        """(() => { const change = (one, value) => {
            one.value = value; one.dispatchEvent(new Event('change')); };
        change(document.querySelector('.filter select'), 'optimizer');
        change(document.querySelector('.bounds select'), 'sgd'); })()"""
    )
    third = (count + 2) // 3
    told = browser.value("document.getElementById('filtered').textContent")
    assert told == f"{third:,} of {count:,} checkpoints"
    command = browser.value("document.getElementById('filtered-command').textContent")
    assert command.endswith("""--where 'optimizer == "sgd"'""")
    wait_for(browser, third)
    assert f"the {third:,} shown PLCC" in browser.value(
        "document.querySelector('.readout').textContent"
    )
    browser.value("document.querySelector('.filter button').focus()")
    browser.press("Enter")
    assert browser.value("document.querySelectorAll('.filter').length") == 0
    wait_for(browser, count)


def wait_for(browser: Browser, count: int) -> None:
    """Wait until the first panel has so many marks."""
    until = time.monotonic() + PATIENCE
    while browser.value(MARKS)[0][0] != count:
        assert time.monotonic() < until, "nothing was drawn"
        browser.pause(0.1)


def test_nothing_leaves_the_page(opened: tuple[Browser, int]) -> None:
    """Unpacking, drawing and filtering ask for nothing but the file, and nothing goes wrong."""
    browser, _ = opened
    assert browser.requests
    assert all(url.startswith(("file:", "data:", "blob:")) for url in browser.requests)
    assert browser.errors == []
