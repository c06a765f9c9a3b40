"""Statistics with intervals: scores in, tables of correlations out (stage 5, no torch)."""

from genpredict.aggregation import aggregate
from genpredict.stats.correlations import correlate
from genpredict.stats.differences import difference
from genpredict.stats.multiplicity import benjamini_hochberg, holm
from genpredict.stats.tables import summary, to_table
from genpredict.stats.top import top_fraction

__all__ = [
    "aggregate",
    "correlate",
    "difference",
    "top_fraction",
    "holm",
    "benjamini_hochberg",
    "summary",
    "to_table",
]
