"""Dataset in, figure out: labels, units and colours from one place; no statistic is computed here.

Every ``plot_*`` takes what `score`, `open_scores`, the statistics or the spectral functions
returned; `share_legend` gives panels one legend, `save` writes to a file, `describe`
says in words what a figure shows.
"""

from genpredict.figures.curves import plot_curves
from genpredict.figures.describing import describe
from genpredict.figures.evolution import plot_evolution
from genpredict.figures.forest import plot_forest
from genpredict.figures.heatmap import plot_heatmap
from genpredict.figures.legends import share_legend
from genpredict.figures.multiverse import plot_multiverse
from genpredict.figures.predictions import plot_predictions
from genpredict.figures.ranking import plot_ranking
from genpredict.figures.saving import save
from genpredict.figures.scatter import plot_scatter
from genpredict.figures.spectrum import plot_spectrum

__all__ = [
    "plot_scatter",
    "plot_ranking",
    "plot_heatmap",
    "plot_evolution",
    "plot_spectrum",
    "plot_curves",
    "plot_forest",
    "plot_multiverse",
    "plot_predictions",
    "share_legend",
    "save",
    "describe",
]
