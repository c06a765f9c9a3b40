"""Words in a row: from a file, a folder of three files, or made up by a small grammar."""

from __future__ import annotations

import math
import random
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genpredict.errors import GenpredictError
from genpredict.sidecars import read_sidecar

#: End of a line, and a word that the training text does not have.
END, UNKNOWN = "<eos>", "<unk>"
#: Endings of the names of the three files in a folder, as in ptb.train.txt.
PARTS = ("train", "valid", "test")
MOST_BYTES = 2**27
"""Of a file; Penn Treebank has 6 MB, WikiText-2 13 MB, text8 100 MB."""
MOST_WORDS = 2**22
"""Different ones."""
_WORD = re.compile(r"\S+")
#: Shares of the lines of a single file, in this order.
_SHARES = (0.8, 0.1, 0.1)
#: Lines of the made-up text.
_LINES = 2500


@dataclass(frozen=True)
class TextSplit:
    """Three texts as numbers of words.

    Attributes
    ----------
    train, validation, test : Tensor, shape (N,), int64
        Word after word, every line closed by `END`.
    words : tuple of str
        What the numbers stand for: the words of the training text, `UNKNOWN` and `END` among them.
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    words: tuple[str, ...]


def load_text(source: str | Path | None = None) -> TextSplit:
    """Read texts, a sentence a line, words separated by spaces.

    Parameters
    ----------
    source : path, optional
        A file, of whose lines the first four fifths are for training, a tenth each for validation
        and test; or a folder with three files called ….train.txt, ….valid.txt and ….test.txt. None
        takes the sentences of a small grammar (`made_up_lines`).

    Returns
    -------
    TextSplit

    Raises
    ------
    GenpredictError
        If files are missing, are no text in UTF-8, or too short.

    Examples
    --------
    >>> text = load_text()
    >>> len(text.words), len(text.train)
    (47, 16245)
    """
    if source is None:
        parts = _cut(made_up_lines(_LINES))
    elif Path(source).is_dir():
        parts = [_read(_part_of(Path(source), part)) for part in PARTS]
    else:
        parts = _cut(_read(Path(source)))
    words = tuple(sorted({*_vocabulary(parts[0], source), UNKNOWN}))
    number = {word: index for index, word in enumerate(words)}
    unknown = number[UNKNOWN]
    train, validation, test = (
        torch.tensor(array("q", (number.get(word, unknown) for word in _words_of(part))))
        for part in parts
    )
    if min(map(len, (train, validation, test))) < 2:
        raise GenpredictError(
            f"{source}: too short: each of train, validation and test needs two words at least"
        )
    return TextSplit(train, validation, test, words)


def _words_of(lines: Sequence[str]) -> Iterator[str]:
    """Yield word after word, every line closed."""
    for line in lines:
        for match in _WORD.finditer(line):  # one at a time: lists of them would fill the memory
            yield match[0]
        yield END


def _vocabulary(lines: Sequence[str], source: object) -> set[str]:
    """Return the words of a text."""
    words: set[str] = set()
    for word in _words_of(lines):
        words.add(word)
        if len(words) > MOST_WORDS:
            raise GenpredictError(
                f"{source}: more than {MOST_WORDS:,} different words; that is no text of words "
                "separated by spaces"
            )
    return words


def unigram_perplexity(text: TextSplit) -> float:
    """Return the perplexity, on the test text, of words drawn as often as in training.

    What any language model has to beat. Every count is raised by one.
    """
    counts = torch.bincount(text.train, minlength=len(text.words)).double() + 1
    chances = counts / counts.sum()
    return float(chances[text.test].log().mean().neg().exp())


def made_up_lines(count: int, *, seed: int = 0) -> list[str]:
    """Write sentences by a small grammar, whose verbs agree with their subjects.

    Examples
    --------
    >>> made_up_lines(2)
    ['a quiet farmer sings under a boat .', 'the dog often waits under the boat .']
    """
    draw = random.Random(seed)
    return [_sentence(draw) for _ in range(count)]


#: Chances of a plural, an adjective and an adverb.
_PLURAL, _ADJECTIVE, _ADVERB = 0.4, 0.4, 0.3
_DETERMINERS = (("the", "a", "every"), ("two", "many", "the"))
_ADJECTIVES = ("old", "small", "quiet")
_ADVERBS = ("often", "never")
_PREPOSITIONS = ("near", "under")
_ARTICLES = ("the", "a")
_NOUNS = ("sailor", "bird", "child", "farmer", "dog", "king")
_THINGS = ("lamp", "river", "boat", "letter", "tree", "song")
_PLURALS = {"child": "children"}
_VERBS = ("sees", "finds", "keeps", "wants")
_REST = ("waits", "sleeps", "sings")


def _sentence(draw: random.Random) -> str:
    """Write one sentence."""
    noun, is_plural = draw.choice(_NOUNS), draw.random() < _PLURAL
    words = [draw.choice(_DETERMINERS[is_plural])]
    if draw.random() < _ADJECTIVE:
        words.append(draw.choice(_ADJECTIVES))
    words.append(_PLURALS.get(noun, f"{noun}s") if is_plural else noun)
    if draw.random() < _ADVERB:
        words.append(draw.choice(_ADVERBS))
    verb = draw.choice((*_VERBS, *_REST))
    words.append(verb.removesuffix("s") if is_plural else verb)
    if verb in _REST:
        words.append(draw.choice(_PREPOSITIONS))
    return " ".join([*words, draw.choice(_ARTICLES), draw.choice(_THINGS), "."])


def made_up_perplexity() -> float:
    """Return the perplexity of the small grammar itself, which no language model goes below.

    exp(H/n): H is the entropy (nat) of a sentence, in which every choice can be read off, n the
    mean number of its words, the end of the line among them. Texts of finite length scatter around
    it.

    Examples
    --------
    >>> round(made_up_perplexity(), 3)
    3.517
    """
    rest = len(_REST) / (len(_VERBS) + len(_REST))
    chances = (_PLURAL, _ADJECTIVE, _ADVERB)
    entropy = sum(-p * math.log(p) - (1 - p) * math.log(1 - p) for p in chances)
    entropy += math.log(len(_NOUNS)) + math.log(len(_DETERMINERS[0])) + math.log(len(_THINGS))
    entropy += math.log(len(_VERBS) + len(_REST)) + math.log(len(_ARTICLES))
    entropy += _ADJECTIVE * math.log(len(_ADJECTIVES)) + _ADVERB * math.log(len(_ADVERBS))
    entropy += rest * math.log(len(_PREPOSITIONS))
    # determiner, noun, verb, article, thing, full stop, end of the line
    return math.exp(entropy / (7 + _ADJECTIVE + _ADVERB + rest))


def _cut(lines: Sequence[str]) -> list[list[str]]:
    """Cut lines into the three parts of a single file."""
    first = int(_SHARES[0] * len(lines))
    second = first + int(_SHARES[1] * len(lines))
    return [list(lines[:first]), list(lines[first:second]), list(lines[second:])]


def _part_of(folder: Path, part: str) -> Path:
    """Find the file of a part in a folder."""
    files = sorted(folder.glob(f"*{part}.txt"))
    if len(files) != 1:
        known = ", ".join(path.name for path in files) or "none"
        raise GenpredictError(
            f"{folder}: must hold one file for each of train, valid and test, called as in "
            f"ptb.{part}.txt; for {part} there is {known}"
        )
    return files[0]


def _read(path: Path) -> list[str]:
    """Read the lines of a file that have words."""
    try:
        text = read_sidecar(path, most=MOST_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        raise GenpredictError(f"{path}: no text file in UTF-8: {error}") from error
    return [line for line in text.splitlines() if line.split(maxsplit=1)]
