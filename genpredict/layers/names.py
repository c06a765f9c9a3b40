"""What a tensor's name says about it.

Names repeat from network to network, so that every answer is remembered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_WEIGHT = re.compile(r"(?:.+_)?weight")
_RECURRENT = re.compile(r"weight_(?P<which>ih|hh|hr)(?P<tail>_l\d+(?:_reverse)?)?")
_TRANSPOSED = re.compile(
    r"de_?conv|conv(?:\d?d)?_?transposed?|transposed?_?conv|(?:^|[._])tconv|upconv|(?:^|\.)transposed?\d*(?:\.|$)"
)
_EMBEDDING_WORDS = frozenset(("embed", "embeds", "embedding", "embeddings", "emb", "embs"))
_EMBEDDINGS = frozenset(("wte", "wpe", "shared", "relative_attention_bias", "lut"))
_NOT_EMBEDDINGS = frozenset(("embed_out", "unembed", "out_embed"))
_AVERAGES = frozenset(
    ("ema", "model_ema", "ema_model", "teacher_ema", "ema_state_dict", "averaged")
)

_QKV, _KV = ("q", "k", "v"), ("k", "v")
_FUSED = {"qkv": _QKV, "to_qkv": _QKV, "kv": _KV, "to_kv": _KV}
_FUSED_WHERE_SQUARE = {"qkv_proj": _QKV, "wqkv": _QKV, "c_attn": _QKV}
_WHOLE = ("",)


@dataclass(frozen=True, slots=True)
class NameRule:
    """What a name says.

    Parameters
    ----------
    module : str
        The last module in the name: ``fc`` of ``net.fc.weight``.
    is_weight : bool
        Whether the tensor is called a weight.
    is_embedding, is_transposed, is_average : bool
        Whether it is a look-up table, a transposed convolution, a copy of other weights.
    parts : tuple of str
        The parts of a fused weight.
    parts_are_square : bool
        Whether the parts can be told apart only where each is square.
    recurrent_state : str or None
        For input and state weights of a recurrent layer, the name of its state weight, whose
        shape tells the number of gates.
    """

    module: str
    is_weight: bool
    is_embedding: bool
    is_transposed: bool
    is_average: bool
    parts: tuple[str, ...]
    parts_are_square: bool
    recurrent_state: str | None


@lru_cache(maxsize=2**16)
def name_rule(name: str) -> NameRule:
    """Read a tensor's name.

    Examples
    --------
    >>> name_rule("blocks.0.attn.qkv.weight").parts
    ('q', 'k', 'v')
    >>> name_rule("rnn.weight_ih_l1_reverse").recurrent_state
    'rnn.weight_hh_l1_reverse'
    """
    path, _, leaf = name.rpartition(".")
    module = path.rpartition(".")[2]
    modules = path.lower().split(".")
    recurrent = _RECURRENT.fullmatch(leaf)
    state = None
    if recurrent and recurrent["which"] != "hr":
        state = f"{path}." * bool(path) + f"weight_hh{recurrent['tail'] or ''}"
    parts, square = _fused(module.lower(), leaf)
    return NameRule(
        module=module,
        is_weight=bool(recurrent or _WEIGHT.fullmatch(leaf)),
        is_embedding=_is_embedding(module.lower()),
        is_transposed=bool(_TRANSPOSED.search(path.lower())),
        is_average=not _AVERAGES.isdisjoint(modules),
        parts=parts,
        parts_are_square=square,
        recurrent_state=state,
    )


def _fused(module: str, leaf: str) -> tuple[tuple[str, ...], bool]:
    """Return the parts of a fused attention projection, and whether they must be square."""
    if leaf == "in_proj_weight":
        return _QKV, False
    if module in _FUSED_WHERE_SQUARE:
        return _FUSED_WHERE_SQUARE[module], True
    return _FUSED.get(module, _WHOLE), False


def _is_embedding(module: str) -> bool:
    """Return whether a module is a look-up table by its name."""
    if module in _NOT_EMBEDDINGS:
        return False
    if module in _EMBEDDINGS or module.endswith(("embedding", "embeddings")):
        return True
    return not _EMBEDDING_WORDS.isdisjoint(module.split("_"))
