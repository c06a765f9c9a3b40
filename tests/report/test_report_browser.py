"""The page in headless Chromium: what is drawn, what a choice changes, what leaves the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, executable
from report_cases import HOSTILE, scores_of

from genpredict.figures.coefficients import coefficient_text
from genpredict.report import write_report
from genpredict.stats import correlate

pytestmark = pytest.mark.skipif(
    executable() is None, reason="no Chromium on this machine; Debian's package is `chromium`"
)
MARKS = """[...document.querySelectorAll('#chart-A .mark-symbol.role-mark path')]
    .map((mark) => mark.getAttribute('transform'))"""
COUNT = 30


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page of 30 checkpoints."""
    folder = tmp_path_factory.mktemp("report")
    return write_report(scores_of(COUNT), folder / "report.html", resamples=50)


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Open the page once for all tests of this file."""
    with Browser(tmp_path_factory.mktemp("browser") / "profile") as found:
        found.open(page)
        yield found


def marks(browser: Browser) -> list[str]:
    found: list[str] = browser.value(MARKS)
    return found


def test_one_mark_a_checkpoint(browser: Browser) -> None:
    """As many marks as checkpoints are done, each at a place of its own."""
    found = marks(browser)
    assert len(found) == COUNT
    assert len(set(found)) == COUNT


def test_marks_lie_where_the_scale_puts_the_data_against_scores(browser: Browser) -> None:
    """The mark of a checkpoint is where Vega's own scales put its measure and target."""
    shown = browser.value(
        """(() => { const panel = window.genpredict.state.panels[0];
        const x = panel.view.scale('x'), y = panel.view.scale('y');
        return panel.points.map((point) => [point.i, x.invert(x(point.x)), y.invert(y(point.y)),
            `translate(${x(point.x)},${y(point.y)})`]); })()"""
    )
    scores = scores_of(COUNT)
    Q = scores["Q"].sel(factorization="low_rank", p=2).values
    accuracy = scores["test_accuracy"].values
    assert sorted(i for i, *_ in shown) == list(range(COUNT))
    for i, x, y, _ in shown:
        assert (x, y) == pytest.approx((Q[i], accuracy[i]), rel=1e-4)
    assert sorted(place for *_, place in shown) == sorted(marks(browser))


@pytest.mark.parametrize(
    ("select", "option"),
    [
        ("#measure-A", "Q_adjusted_low_rank_p1"),
        ("#measure-A", "log_num_parameters"),
        ("#target-A", "generalization_gap"),
    ],
)
def test_another_choice_moves_the_marks(browser: Browser, select: str, option: str) -> None:
    """Another measure or target in the drop-down: other places, the same checkpoints."""
    first = browser.value(f"document.querySelector('{select}').value")
    before = marks(browser)
    browser.choose(select, option)
    after = marks(browser)
    browser.choose(select, first)
    assert len(after) == COUNT
    assert sorted(after) != sorted(before)
    assert sorted(marks(browser)) == sorted(before)


def test_readout_tells_the_correlation_of_the_marks_against_stats(browser: Browser) -> None:
    """PLCC and ROCC with intervals of the pair that is shown, from `correlate`."""
    browser.choose("#measure-A", "Q_low_rank_p1")
    shown = browser.value("document.querySelector('.readout').textContent")
    browser.choose("#measure-A", "Q_low_rank_p2")
    cell = correlate(scores_of(COUNT), resamples=50).sel(
        measure="Q_low_rank_p1", target="test_accuracy", group="all"
    )
    for name in ("plcc", "rocc"):
        assert coefficient_text(cell, name) in shown
    assert f"n = {COUNT}" in shown


def test_colour_of_a_choice(browser: Browser) -> None:
    """Groups have colours of their own; a number has a ramp; one colour is one colour."""
    fills = """new Set([...document.querySelectorAll('#chart-A .mark-symbol.role-mark path')]
        .map((mark) => mark.getAttribute('fill'))).size"""
    for option, least, most in (("", 1, 1), ("network", 3, 3), ("learning_rate", 10, COUNT)):
        browser.choose("#colour", option)
        assert least <= browser.value(fills) <= most


def test_hovering_names_the_checkpoint(browser: Browser) -> None:
    """The mouse on the mark with the hostile id: its name as text, and its numbers."""
    browser.value("document.getElementById('chart-A').scrollIntoView({behavior: 'instant'})")
    browser.pause(0.3)
    at: dict[str, Any] = browser.value(
        """(() => { const panel = window.genpredict.state.panels[0];
        const k = panel.points.findIndex((point) => point.i === 1);
        const mark = document.querySelectorAll('#chart-A .mark-symbol.role-mark path')[k];
        const box = mark.getBoundingClientRect();
        return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"""
    )
    browser.hover(at["x"], at["y"])
    browser.pause(0.3)
    shown = browser.value("document.querySelector('.tip:not([hidden])').innerText")
    assert HOSTILE in shown
    assert "test accuracy (%)" in shown
    assert "learning rate" in shown


def test_arrow_keys_go_from_mark_to_mark(browser: Browser) -> None:
    """From the lowest measure on, each checkpoint by name, its mark beside; Escape ends it."""
    browser.value("document.getElementById('chart-A').scrollIntoView({behavior: 'instant'})")
    browser.pause(0.3)
    browser.value("document.getElementById('chart-A').focus()")
    Q = scores_of(COUNT)["Q"].sel(factorization="low_rank", p=2)[:COUNT]
    names = Q.sortby(Q)["checkpoint"].values.tolist()
    shown = "document.querySelector('.tip:not([hidden]) strong').textContent"
    for key, name in (("ArrowRight", 0), ("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2)):
        browser.press(key)
        assert browser.value(shown) == names[name]
    browser.press("Escape")
    assert browser.value("document.querySelector('.tip').hidden") is True


def test_heat_map_is_drawn(browser: Browser) -> None:
    """A cell for every layer of every checkpoint; another unfolding changes them."""
    kinds = "window.genpredict.state.heatmap.cells.map((cell) => cell.kind)"
    first = browser.value(kinds)
    assert len(first) == 5 * COUNT
    assert {kind: first.count(kind) for kind in ("one", "zero", "absent")} == {
        "one": 1, "zero": 1, "absent": 0,
    }  # fmt: skip
    painted = """(() => { const c = document.querySelector('#heatmap canvas');
        const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const pixel = (_, k) => data.slice(4 * k, 4 * k + 3).join();
        return new Set(Array.from({length: data.length / 4}, pixel)).size; })()"""
    assert browser.value(painted) > 20
    browser.value(
        "(() => { const s = document.getElementById('unfolding'); s.value = 'in_channel';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    browser.pause(0.3)
    assert browser.value(kinds).count("absent") == COUNT


def test_no_request_leaves_the_page_and_nothing_goes_wrong(browser: Browser) -> None:
    """Loading, choosing, hovering: only the file itself is asked for; no error, no dialog."""
    assert browser.requests
    assert all(url.startswith(("file:", "data:", "blob:")) for url in browser.requests)
    assert browser.errors == []


def test_texts_of_the_store_are_texts(browser: Browser) -> None:
    """Markup in ids, networks, errors and commands is shown, never run."""
    assert browser.value("window.hacked") is None
    assert browser.value("document.getElementById('smuggled')") is None
    assert browser.value("document.querySelectorAll('img').length") == 0
    text = browser.value("document.body.textContent")
    assert "no layers <i>at all</i>" in text
    assert "vgg{{ 7 * 7 }}" in text
    data = "JSON.parse(document.getElementById('genpredict-data').textContent)"
    assert browser.value(f"{data}.ids[1]") == HOSTILE


def test_every_control_has_a_name(browser: Browser) -> None:
    """Drop-downs have labels, buttons texts, tables captions and header cells."""
    nameless = """[...document.querySelectorAll('select')].filter((s) => !s.labels.length).length
        + [...document.querySelectorAll('button')].filter((b) => !b.textContent.trim()).length
        + [...document.querySelectorAll('table')]
            .filter((t) => !t.caption || !t.querySelector('th[scope]')).length"""
    assert browser.value(nameless) == 0
    assert browser.value(
        "document.querySelector('#chart-A .chart-wrapper').getAttribute('aria-label')"
    )


def test_a_phone_needs_no_sideways_scrolling(browser: Browser) -> None:
    """At 390 pixels the page is as wide as the window; wide tables scroll by themselves."""
    browser.resize(390, 800)
    browser.pause(0.6)
    assert browser.value("document.documentElement.scrollWidth") == 390
    assert len(marks(browser)) == COUNT
    beyond = """[...document.querySelectorAll('caption span, pre')].filter((text) =>
        text.checkVisibility() && (text.getBoundingClientRect().right > 390
            || text.scrollWidth > text.clientWidth)).map((text) => text.textContent)"""
    assert browser.value(beyond) == []
