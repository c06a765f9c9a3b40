"""Stage 1: which tensors of a checkpoint are layers, and why the others are not.

`selection` tells layers from other tensors, `names` reads what their names say, and
`reparametrizations` joins the factors of one weight. No files, no mathematics.
"""

from genpredict.layers.selection import Layer, LeftOut, count_parameters, select_layers

__all__ = ["Layer", "LeftOut", "count_parameters", "select_layers"]
