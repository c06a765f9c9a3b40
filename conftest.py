"""Modules whose frameworks are not installed have no examples that could run."""

from __future__ import annotations

from importlib.util import find_spec

#: Of `genpredict.integrations`, which import the frameworks that they are for.
_FRAMEWORKS = {"lightning": ("lightning", "pytorch_lightning"), "trainer": ("transformers",)}
collect_ignore = [
    f"genpredict/integrations/{module}.py"
    for module, names in _FRAMEWORKS.items()
    if not any(find_spec(name) for name in names)
]
