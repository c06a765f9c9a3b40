"""Dataset in, one HTML page out: summary, ranking, scatter panels, layers, failures, commands.

The page needs nothing but itself: scripts and data stand in it, and its content security policy
forbids every request. Statistics come from `genpredict.stats`, words and colours from
`genpredict.figures`.
"""

from genpredict.report.writing import write_report

__all__ = ["write_report"]
