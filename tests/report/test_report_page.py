"""The page as a file: what it holds, how large it is, what it says of odd stores."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from report_cases import ENDING, HOSTILE, scores_of

from genpredict.errors import GenpredictError
from genpredict.figures.labels import signed
from genpredict.report import write_report
from genpredict.report.colours import contrast, correlation_colour, ink_on
from genpredict.report.layers import MOST_COLUMNS, columns_shown
from genpredict.report.tables import MOST_NAMES, failures_of, summary_rows
from genpredict.stats import correlate
from genpredict.stats.columns import columns_of

#: What a report of 1,000 checkpoints may weigh, bytes.
MOST_BYTES = 1_200_000


class Texts(HTMLParser):
    """The texts of a page and the addresses that its elements load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        self.loads += [
            v or "" for k, v in attrs if k in ("src", "href", "srcset", "data", "action")
        ]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def page_of(scores: xr.Dataset, folder: Path, **options: object) -> str:
    options = {"resamples": 20} | options
    return write_report(scores, folder / "report.html", **options).read_text(encoding="utf-8")  # type: ignore[arg-type]


def test_size_at_1000_checkpoints(tmp_path: Path) -> None:
    """Under 1.2 MB with 56 layers each, and every checkpoint is in it."""
    page = write_report(
        scores_of(1000, layers=56), tmp_path / "r.html", by=(), interval="fisher", permutations=0
    )
    assert page.stat().st_size < MOST_BYTES
    text = page.read_text(encoding="utf-8")
    assert all(f"runs/net{i:05d}.pth" in text for i in (0, 500, 999))


def test_size_at_65536_checkpoints(tmp_path: Path) -> None:
    """Under 4 MB with fourteen columns of random numbers, every checkpoint in it."""
    scores = scores_of(65_536, layers=1, failed=0)
    rng = np.random.default_rng(0)
    columns = {f"number_{k}": ("checkpoint", rng.uniform(0, 1, 65_536)) for k in range(5)}
    page = write_report(
        scores.assign_coords(columns), tmp_path / "r.html", by=(), interval="fisher", permutations=0
    )
    assert page.stat().st_size < 4_000_000


def test_covariates_and_clusters_are_told(tmp_path: Path) -> None:
    """A page of partial correlations of clusters says both, beside the marks and in its command."""
    text = Texts(
        page_of(scores_of(30), tmp_path, partial="log_num_parameters", cluster="optimizer", by=())
    ).text
    assert "Partial correlations: log_num_parameters held fixed." in text
    assert "clusters of 30 checkpoints, by optimizer; held fixed (partial): log_num_par" in text
    assert "--partial log_num_parameters" in text
    assert "--cluster optimizer" in text


def test_other_groups_of_measures_have_sections_against_stats(tmp_path: Path) -> None:
    """Scores with a group of measures besides: its columns ranked apart, adjusted by themselves."""
    scores = scores_of(30)
    rng = np.random.default_rng(0)
    dims = ("checkpoint", "layer", "unfolding")
    scores["alpha"] = (dims, rng.uniform(2, 6, [scores.sizes[dim] for dim in dims]))
    text = Texts(page_of(scores, tmp_path, by=())).text
    [section] = re.findall(r"Other measures of these scores(.*?)Measures against targets", text)
    table = correlate(scores, measures=["alpha"], resamples=20)
    cell = table.sel(measure="alpha", target="test_accuracy", group="all")
    assert "Heavy tail" in section
    assert f"{signed(float(cell['rocc']))}" in section
    assert '"key":"alpha"' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    """No element has an address outside of the page, and the policy forbids requests."""
    page = page_of(scores_of(12), tmp_path)
    found = Texts(page)
    assert all(load.startswith(("#", "data:")) for load in found.loads)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "http" not in policy[1]
    assert not re.search(r"@import|url\(", page[: page.index("</style>")])


def test_texts_of_the_store_are_escaped(tmp_path: Path) -> None:
    """Markup in an id or a network stands nowhere as markup; the data hold no end of a script."""
    page = page_of(scores_of(12), tmp_path)
    assert HOSTILE not in page
    assert ENDING not in page
    found = Texts(page)
    assert found.tags.count("script") == 3
    assert "img" not in found.tags
    assert ENDING in found.text


def test_ranking_against_stats(tmp_path: Path) -> None:
    """Every coefficient of the table of `correlate` stands on the page, groups included."""
    scores = scores_of(24)
    text = Texts(page_of(scores, tmp_path)).text
    found = correlate(scores, by="network", resamples=20)
    known = found["plcc"].notnull()
    for name in ("plcc", "rocc", "krocc"):
        lower, upper = found[f"{name}_lower"], found[f"{name}_upper"]
        for value, low, high in zip(
            *(part.values[known.values] for part in (found[name], lower, upper)), strict=True
        ):
            assert re.search(
                rf"{re.escape(signed(value))}\**"
                + (rf" ?\[{signed(low)}, {signed(high)}\]" if low == low else ""),
                text,
            )
    assert "Network: resnet20" in text


def test_same_scores_same_bytes(tmp_path: Path) -> None:
    """A page is a function of scores and options; no date, no place."""
    assert page_of(scores_of(12), tmp_path) == page_of(scores_of(12), tmp_path)


def test_header_and_commands(tmp_path: Path) -> None:
    """Counts by status, version and settings, the recorded command, and how to do it again."""
    text = Texts(page_of(scores_of(12), tmp_path, seed=3, where="num_parameters < 1e7")).text
    assert "done12 failed3 pending0" in text
    assert "Scored with genpredict 0.1.0, global estimator, float64 on cpu" in text
    assert "genpredict score 'a <b>' -o scores.zarr" in text
    assert "genpredict report scores.zarr --where 'num_parameters < 1e7'" in text
    assert "--seed 3" in text
    assert "dead tolerance0.03" in text
    assert "8 of 12" in text


def test_scores_without_targets(tmp_path: Path) -> None:
    """A store without accuracies gives a page that says what is missing; layers are drawn."""
    scores = scores_of(12).drop_vars(["test_accuracy", "generalization_gap"])
    text = Texts(page_of(scores, tmp_path)).text
    assert "These scores have no target. Score again with a manifest" in text
    assert "checkpoints in order of network quality Q, low rank, p = 2" in text


def test_nothing_done(tmp_path: Path) -> None:
    """Where every checkpoint failed the page tells why."""
    text = Texts(page_of(scores_of(0, failed=4), tmp_path)).text
    assert "No checkpoint is done; there is nothing to rank." in text
    assert "no layers <i>at all</i>" in text


def test_few_checkpoints(tmp_path: Path) -> None:
    """Three checkpoints make no correlation, and a page all the same."""
    text = Texts(page_of(scores_of(3), tmp_path)).text
    assert "0 of 0 with test accuracy" in text


def test_numbers_have_their_own_name_and_not_that_of_their_logarithm() -> None:
    """The summary shows numbers of parameters; the ranking takes their logarithms."""
    columns = columns_of(scores_of(20), "log_num_parameters", "measures")
    (row,) = summary_rows(columns)
    assert row["label"] == "number of parameters"
    assert row["minimum"] == "100,000"


def test_failures_are_grouped_by_reason() -> None:
    """One reason whatever the file: its name is taken off; the first names, the rest counted."""
    [found] = failures_of(scores_of(2, failed=MOST_NAMES + 50))
    assert found.reason == "no layers <i>at all</i>"
    assert (found.count, len(found.names), found.more) == (MOST_NAMES + 50, MOST_NAMES, 50)


def test_a_sample_of_many_columns() -> None:
    """Evenly spaced in order, both ends included, none without a value; few are all shown."""
    values = np.random.default_rng(0).permutation(1000.0 * np.arange(500))
    values[7] = np.nan
    shown = columns_shown(values)
    assert len(shown) == MOST_COLUMNS
    assert values[shown][0] == np.nanmin(values)
    assert values[shown][-1] == np.nanmax(values)
    assert (np.diff(values[shown]) > 0).all()
    assert columns_shown(np.array([2.0, 1.0, np.nan])).tolist() == [1, 0, 2]


def test_contrast_against_wcag() -> None:
    """Texts on every colour of a correlation have the contrast of 4.5 that WCAG asks for."""
    for value in np.linspace(-1, 1, 41):
        background = correlation_colour(float(value))
        assert contrast(ink_on(background), background) >= 4.5


def test_another_suffix(tmp_path: Path) -> None:
    """The page is HTML."""
    with pytest.raises(GenpredictError, match=r"report\.pdf: the report must end in \.html"):
        write_report(scores_of(5), tmp_path / "report.pdf")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GenpredictError, match=r"r\.html: cannot write: "):
        write_report(scores_of(5), tmp_path / "file" / "r.html", interval="fisher")


def test_beyond_the_ranking_against_stats(tmp_path: Path) -> None:
    """What the checkpoints can tell, the curve of all conventions, the yardsticks."""
    sweep = Path(__file__).parents[2] / "data" / "results" / "digits-sweep.zarr"
    path = write_report(sweep, tmp_path / "r.html", by=(), cluster=("network", "optimizer"))
    text = path.read_text(encoding="utf-8")
    assert "90 checkpoints in 30 clusters, worth about" in text
    assert "under 252 choices of spectrum" in text
    assert "hyperparameters network, optimizer" in text
