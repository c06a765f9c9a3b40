"""The measures of many layers, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from genpredict.schema import Measure
from genpredict.spectral.calls import sizes_of_axes


class LayerMeasures(Mapping[str, Tensor]):
    """Measures of W layers, by name and as attributes; NaN where a layer has no such unfolding.

    All float64, on the device of the computation. The axes are W and those that the measure's row
    in `genpredict.schema` has after `layer`: U = 2 unfoldings, F = 2 factorizations, P powers.

    Parameters
    ----------
    measures : mapping of str to Tensor
    finite : Tensor, shape (W,)
        1 where every weight is finite, else 0 and the rest without meaning.
    """

    def __init__(self, measures: Mapping[str, Tensor], finite: Tensor) -> None:
        self._measures = dict(measures)
        self.finite = finite

    @classmethod
    def empty(cls, rows: Sequence[Measure], layers: int, device: torch.device) -> LayerMeasures:
        """Make room for these measures of that many layers, all NaN."""
        sizes = sizes_of_axes()

        def room(dims: Sequence[str]) -> Tensor:
            shape = (layers, *(sizes[dim] for dim in dims))
            return torch.full(shape, torch.nan, dtype=torch.float64, device=device)

        return cls({row.name: room(row.dims[2:]) for row in rows}, room(()))

    def part(self, first: int, stop: int) -> LayerMeasures:
        """View the layers from `first` up to `stop`."""
        measures = {name: values[first:stop] for name, values in self.items()}
        return LayerMeasures(measures, self.finite[first:stop])

    def __getitem__(self, name: str) -> Tensor:
        return self._measures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._measures)

    def __len__(self) -> int:
        return len(self._measures)

    def __getattr__(self, name: str) -> Tensor:
        measures: dict[str, Tensor] = self.__dict__.get("_measures", {})
        if name in measures:
            return measures[name]
        raise AttributeError(f"no measure {name!r} was computed; there are {', '.join(measures)}")
