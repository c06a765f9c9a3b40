"""What a tensor's name says about it.

Names repeat from network to network, so that every answer is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

_WEIGHT = re.compile(r"(?:.+_)?weight")
_RECURRENT = re.compile(r"weight_(?P<which>ih|hh|hr)(?P<tail>_l\d+(?:_reverse)?)?")
_TRANSPOSED = re.compile(
    r"de_?conv|conv(?:\d?d)?_?transposed?|transposed?_?conv|(?:^|[._])tconv|upconv|(?:^|\.)transposed?\d*(?:\.|$)"
)
_SEQUENCE = re.compile(r"(?P<front>.*\.|)(?P<number>\d{1,9})\.weight")
_POSITION = re.compile(r"(?:arr_|param_?)?\d+")
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_EMBEDDING_WORDS = frozenset(
    (
        "embed", "embeds", "embedding", "embeddings", "emb", "embs", "embedder", "embedders",
        "tokens", "tok", "factors", "lut", "lookup", "codebook", "vocab",
    )
)  # fmt: skip
_EMBEDDINGS = frozenset(("wte", "wpe", "shared", "relative_attention_bias", "table"))
_NOT_EMBEDDINGS = frozenset(("embed_out", "unembed", "out_embed"))
_ENCODERS = frozenset(("encoder", "encode", "word", "words", "user", "users", "item", "items"))
_AVERAGES = frozenset(
    ("ema", "model_ema", "ema_model", "teacher_ema", "ema_state_dict", "averaged")
)
_WEIGHT_WORDS = frozenset(
    ("proj", "projection", "root", "kernel", "w", "wq", "wk", "wv", "wo", "lora", "matrix")
)
"""Of the last part of a name: what calls a tensor of two axes a weight, though not by that word."""
_NO_WEIGHT_WORDS = frozenset(
    ("embedding", "embed", "pos", "position", "bias", "mel", "mask", "token", "buffer", "mean")
)

_QKV, _KV = ("q", "k", "v"), ("k", "v")
_FUSED = {"qkv": _QKV, "to_qkv": _QKV, "kv": _KV, "to_kv": _KV}
_FUSED_WHERE_SQUARE = {"qkv_proj": _QKV, "wqkv": _QKV, "c_attn": _QKV}
_WHOLE = ("",)
#: Characters of names whose answers are remembered.
_SHORT = 200
Answer = TypeVar("Answer")


def remembered(answer: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """Remember answers about short names; long ones would fill the memory, and do not recur."""
    known = lru_cache(maxsize=2**14)(answer)

    @wraps(answer)
    def remembering(name: str) -> Answer:
        return known(name) if len(name) <= _SHORT else answer(name)

    return remembering


@dataclass(frozen=True, slots=True)
class NameRule:
    """What a name says.

    Parameters
    ----------
    path : str
        All but the last part, with its dot: ``net.fc.`` of ``net.fc.weight``.
    leaf : str
        The last part: ``weight``.
    module : str
        The last module in the name: ``fc`` of ``net.fc.weight``.
    is_weight : bool
        Whether the tensor is called a weight, by that word or another.
    is_embedding, is_encoder : bool
        Whether the module is called a look-up table, or what might be one.
    is_transposed, is_average : bool
        Whether it is a transposed convolution, a copy of other weights.
    is_stack : bool
        Whether it holds one matrix for each of several experts.
    is_position : bool
        Whether it is no name but a position in a list.
    bias : str
        The name that a bias beside it would have.
    parts : tuple of str
        The parts of a fused weight.
    parts_are_square : bool
        Whether the parts can be told apart only where each is square.
    recurrent_state : str or None
        For input and state weights of a recurrent layer, the name of its state weight, whose
        shape tells the number of gates.
    next_path : str or None
        For weights in a numbered sequence of modules, the path of the next: ``net.4.`` of
        ``net.3.weight``.
    """

    path: str
    leaf: str
    module: str
    is_weight: bool
    is_embedding: bool
    is_encoder: bool
    is_transposed: bool
    is_average: bool
    is_stack: bool
    is_position: bool
    bias: str
    parts: tuple[str, ...]
    parts_are_square: bool
    recurrent_state: str | None
    next_path: str | None


@remembered
def name_rule(name: str) -> NameRule:
    """Read a tensor's name.

    Examples
    --------
    >>> name_rule("blocks.0.attn.qkv.weight").parts
    ('q', 'k', 'v')
    >>> name_rule("rnn.weight_ih_l1_reverse").recurrent_state
    'rnn.weight_hh_l1_reverse'
    >>> name_rule("conv.weight").bias, name_rule("attn.in_proj_weight").bias
    ('conv.bias', 'attn.in_proj_bias')
    """
    path, _, leaf = name.rpartition(".")
    module = path.rpartition(".")[2]
    front = f"{path}." * bool(path)
    recurrent = _RECURRENT.fullmatch(leaf)
    state = None
    if recurrent and recurrent["which"] != "hr":
        state = f"{front}weight_hh{recurrent['tail'] or ''}"
    parts, square = _fused(module.lower(), leaf)
    leaf_words = words(leaf)
    return NameRule(
        path=front,
        leaf=leaf,
        module=module,
        is_weight=bool(recurrent or _WEIGHT.fullmatch(leaf)) or _is_called_weight(name, leaf_words),
        is_embedding=_is_embedding(module.lower()) or "embedding" in leaf_words,
        is_encoder=not _ENCODERS.isdisjoint(words(module)),
        is_transposed=_is_transposed(path.lower()),
        is_average=not _AVERAGES.isdisjoint(path.lower().split(".")),
        is_stack="experts" in words(module) or "experts" in leaf_words,
        is_position=bool(_POSITION.fullmatch(name)),
        bias=front + (leaf.replace("weight", "bias") if "weight" in leaf else "bias"),
        parts=parts,
        parts_are_square=square,
        recurrent_state=state,
        next_path=_next_path(name),
    )


@remembered
def words(name: str) -> tuple[str, ...]:
    """Split a name into lower-case words.

    Examples
    --------
    >>> words("modelEMA_net"), words("melW"), words("w1")
    (('model', 'ema', 'net'), ('mel', 'w'), ('w', '1'))
    """
    return tuple(piece.lower() for piece in _PIECES.findall(name[:200]))


def _is_called_weight(name: str, leaf_words: tuple[str, ...]) -> bool:
    """Return whether the last part of a name means a weight by another word."""
    front = words(name.rpartition(".")[0].rpartition(".")[2])
    in_adapter = "lora" in front and leaf_words == ("default",)
    known = in_adapter or not _WEIGHT_WORDS.isdisjoint(leaf_words)
    return known and _NO_WEIGHT_WORDS.isdisjoint((*leaf_words, *(front if in_adapter else ())))


def _is_transposed(path: str) -> bool:
    """Return whether a path names a transposed convolution; long paths are searched when needed."""
    return ("conv" in path or "transpos" in path) and bool(_TRANSPOSED.search(path))


def _next_path(name: str) -> str | None:
    """Return the path of the module after a numbered one that holds a weight."""
    match = _SEQUENCE.fullmatch(name)
    return f"{match['front']}{int(match['number']) + 1}." if match else None


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
    if module in _EMBEDDINGS or module.endswith(("embedding", "embeddings", "_table")):
        return True
    return not _EMBEDDING_WORDS.isdisjoint(module.split("_"))
