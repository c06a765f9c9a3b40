"""Names, units and meanings of every dimension and variable of a scores Dataset.

The vocabulary of genpredict lives here and nowhere else: readers, the store, statistics and
figures take labels and units from these tables. A measure is one row that names its function as
text, so that a row costs no import; `genpredict.registry` adds rows of other packages
(docs/design.md 2 to 4).
"""

from genpredict.schema.coordinates import (
    COORDINATES,
    EXTRA_COORDINATES,
    INTEGERS,
    KNOWN,
    LEDGER,
    STATE,
    TARGETS,
    coordinate,
)
from genpredict.schema.layer_measures import (
    EXTRA_MEASURES,
    FIRST_MEASURES,
    LAYER_LABELS,
    LAYER_MEASURES,
    Measure,
)
from genpredict.schema.network_measures import (
    EXTRA_NETWORK_MEASURES,
    NETWORK_MEASURES,
    Need,
    NetworkMeasure,
    Probe,
)
from genpredict.schema.variables import (
    AXES,
    DEFINITIONS,
    EXTRA_AXES,
    FACTORIZATIONS,
    KINDS,
    MAIN_CHOICE,
    MAIN_CHOICE_NAME,
    POWERS,
    QUANTILES,
    UNFOLDINGS,
    Variable,
)

__all__ = [
    "AXES",
    "COORDINATES",
    "DEFINITIONS",
    "EXTRA_AXES",
    "EXTRA_COORDINATES",
    "EXTRA_MEASURES",
    "EXTRA_NETWORK_MEASURES",
    "FACTORIZATIONS",
    "FIRST_MEASURES",
    "INTEGERS",
    "KINDS",
    "KNOWN",
    "LAYER_LABELS",
    "LAYER_MEASURES",
    "MAIN_CHOICE",
    "MAIN_CHOICE_NAME",
    "LEDGER",
    "Measure",
    "NETWORK_MEASURES",
    "Need",
    "NetworkMeasure",
    "POWERS",
    "Probe",
    "QUANTILES",
    "STATE",
    "TARGETS",
    "UNFOLDINGS",
    "Variable",
    "coordinate",
]
