"""Stage 1: which tensors of a checkpoint are layers, and why the others are not.

`selection` tells layers from other tensors by their `names`, by `evidence` beside them and by what
is known of their modules; `copies` and `constants` find what is not trained, `quantized` what
cannot be measured; `reparametrizations` joins the factors of one weight, `parts` splits it into
gates and experts. No files, no mathematics.
"""

from genpredict.layers.modules import module_types
from genpredict.layers.parts import Layer
from genpredict.layers.selection import (
    LeftOut,
    Selection,
    count_parameters,
    select_layers,
    sort_tensors,
)

__all__ = [
    "Layer",
    "LeftOut",
    "Selection",
    "count_parameters",
    "module_types",
    "select_layers",
    "sort_tensors",
]
