r"""What the keys of a pickle would cost to hash, found out before Python hashes any.

A tuple that holds one tuple twice, which holds one twice, sixty levels deep, takes 200 bytes of
pickle; as the key of a dict it is walked 2**60 times, in C, where neither signal nor thread stops
it. So a stream is followed as it passes, on a stack of costs instead of objects: whatever can be
hashed costs as many steps as hashing it takes. Half a microsecond an opcode, of which the archive
of one architecture has some ten thousand: under 1 % of the time that unpacking takes.
"""

from __future__ import annotations

from typing import BinaryIO

MOST = 256
"""Steps that hashing one object may take; keys of NATS-Bench take 3, arguments of tensors 20."""
MOST_BESIDE = 2**16
"""The same for what is no key; the state of Python's random numbers is a tuple of 625."""
TOO_COSTLY = "tuples in tuples, or numbers of so many digits, that would take very long to read"
TOO_LARGE = "a place in its memo beyond its own length, for which gigabytes would be reserved"
PIECE = 2**16
"""Bytes that are followed at a time."""
_WORD = 8
_LONGEST_LINE = 2**17

# Opcodes that push one object which costs a step, and the bytes that follow them.
_PUSHES = {
    **dict.fromkeys(b"N)]}\x88\x89\x8f", 0),
    **{ord("K"): 1, ord("M"): 2, ord("J"): 4, ord("G"): 8},
}  # fmt: skip
# Opcodes with a length in front of their bytes, and the bytes of that length.
_SIZED = {
    **dict.fromkeys(b"\x8cCU\x8a", 1), **dict.fromkeys(b"XBT\x8b", 4),
    **dict.fromkeys(b"\x8d\x8e\x96", 8),
}  # fmt: skip
_LONGS = b"\x8a\x8b"
_NUMBER_LINES = b"IL"
_GETS = {ord("h"): 1, ord("j"): 4}
_PUTS = {ord("q"): 1, ord("r"): 4}
# Opcodes that take objects off and put one of a step in their place, and how many.
_CALLS = {ord("R"): 2, 0x81: 2, 0x92: 3, 0x93: 2, ord("Q"): 1}
# Opcodes that take objects off, and how many.
_DROPS = {ord("a"): 1, ord("s"): 2, ord("b"): 1}
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_TO_MARK_DROPS = frozenset(b"eu\x901")
# Of what these drop, every second (first) one is hashed.
_HASHED = {ord("u"): 2, 0x90: 1}
_TO_MARK_MAKES = frozenset(b"lod")
_TO_MARK_HASHED = frozenset(b"t\x91")
# Opcodes with lines of text, and how many.
_LINES = {**dict.fromkeys(b"ILFSVgp", 1), ord("c"): 2, ord("i"): 2}
_IGNORED = {0x80: 1, 0x95: 8}
_MEMOIZE, _MARK, _POP, _DUP, _STOP = 0x94, ord("("), ord("0"), ord("2"), ord(".")


class RefusedPickleError(Exception):
    """A pickle that is not to be read on; no UnpicklingError, which the unpickler swallows."""


class PickleCosts:
    r"""Follows a pickle, piece by piece, ahead of the unpickler.

    Examples
    --------
    >>> PickleCosts().feed(b"}N2\x862\x86K\x01s.")
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._stack: list[int] = []
        self._marks: list[int] = []
        self._memo: dict[int, int] = {}  # of what costs more than a step
        self._memoized = 0
        self._puts = False
        self._seen = 0  # bytes so far: what writes pickles numbers the places of the memo in turn
        self._rest = b""  # an opcode of which the end is still to come
        self._skip = 0  # bytes to come that are contents
        self.is_over = False

    def feed(self, piece: bytes) -> None:
        """Follow the next bytes of the stream.

        Raises
        ------
        RefusedPickleError
            Where something would take more than `MOST` steps to hash, and where the bytes are no
            pickle or use opcodes that no archive does.
        """
        self._seen += len(piece)
        if self._skip >= len(piece):
            self._skip -= len(piece)
            return
        data = self._rest + piece[self._skip :] if self._skip or self._rest else piece
        self._skip = 0
        try:
            at = 0 if self.is_over else self._follow(data)
        except (IndexError, ValueError) as error:
            raise RefusedPickleError(f"opcodes out of order: {error}") from error
        self._rest = data[at:]

    @property
    def rest(self) -> bytes:
        """What follows the end of the pickle in the piece that holds it."""
        return self._rest

    def _follow(self, data: bytes) -> int:
        """Follow whole opcodes, the commonest first; return where an incomplete one begins."""
        at, end = 0, len(data)
        stack, memo, push = self._stack, self._memo, self._stack.append
        while at < end:
            code = data[at]
            width = _PUSHES.get(code)
            if width is not None:
                if at + width >= end:
                    return at
                push(1)
                at += 1 + width
            elif code == _MEMOIZE:
                if self._puts:
                    raise RefusedPickleError("MEMOIZE beside PUT")
                if (cost := stack[-1]) != 1:
                    memo[self._memoized] = cost
                self._memoized += 1
                at += 1
            elif code in _GETS:
                after = at + 1 + _GETS[code]
                if after > end:
                    return at
                push(memo.get(int.from_bytes(data[at + 1 : after], "little"), 1))
                at = after
            else:
                following = self._other(code, data, at)
                if following is None:
                    return at
                at = following
                if self.is_over:
                    return at
        self._skip = at - end
        return at

    def _other(self, code: int, data: bytes, at: int) -> int | None:
        """Follow another opcode; return where the next one begins, None if that is to come."""
        stack = self._stack
        if code in _SIZED:
            return self._sized(code, data, at)
        if code in _CALLS:
            del stack[-_CALLS[code] :]
            stack.append(1)
        elif code in _TUPLES:
            stack[-_TUPLES[code] :] = [self._checked(1 + sum(stack[-_TUPLES[code] :]))]
        elif code == _MARK:
            self._marks.append(len(stack))
        elif code in _TO_MARK_HASHED:
            stack.append(self._checked(1 + sum(self._to_mark())))
        elif code in _TO_MARK_DROPS:
            dropped = self._to_mark()
            self._check_keys(dropped[:: _HASHED[code]] if code in _HASHED else [])
        elif code in _DROPS:
            self._check_keys(stack[-2:-1] if code == ord("s") else [])
            del stack[-_DROPS[code] :]
        elif code in _LINES:
            return self._lines(code, data, at)
        elif code in _TO_MARK_MAKES:
            self._to_mark()
            stack.append(1)
        elif code in _PUTS or code in _IGNORED:
            after = at + 1 + (_PUTS.get(code) or _IGNORED[code])
            if after > len(data):
                return None
            if code in _PUTS:
                self._put(int.from_bytes(data[at + 1 : after], "little"))
            return after
        else:
            self._rare(code)
        return at + 1

    def _sized(self, code: int, data: bytes, at: int) -> int | None:
        """Follow an opcode with its size and contents behind it, which need not be here yet."""
        start = at + 1 + _SIZED[code]
        if start > len(data):
            return None
        size = int.from_bytes(data[at + 1 : start], "little")
        self._stack.append(self._checked(1 + size // _WORD) if code in _LONGS else 1)
        return start + size

    def _rare(self, code: int) -> None:
        """Follow what is left; refuse what archives do without and unpicklers here do not know."""
        if code == _STOP:
            self.is_over = True
        elif code == _DUP:
            self._stack.append(self._stack[-1])
        elif code == _POP and self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        elif code == _POP:
            self._stack.pop()
        else:
            raise RefusedPickleError(f"opcode {code:#x}, which no archive needs")

    def _lines(self, code: int, data: bytes, at: int) -> int | None:
        """Follow an opcode with lines of text behind it."""
        after = at
        for _ in range(_LINES[code]):
            after = data.find(b"\n", after) + 1
            if not after:
                if len(data) - at > _LONGEST_LINE:
                    raise RefusedPickleError("a line without an end")
                return None
        if code == ord("p"):
            self._put(int(data[at + 1 : after]))
        elif code == ord("g"):
            self._stack.append(self._memo.get(int(data[at + 1 : after]), 1))
        else:
            if code == ord("i"):
                self._to_mark()
            digits = after - at if code in _NUMBER_LINES else 0
            self._stack.append(self._checked(1 + digits // _WORD))
        return after

    def _put(self, index: int) -> None:
        """Keep what is on top; the two ways to keep things know nothing of each other here."""
        if self._memoized:
            raise RefusedPickleError("PUT beside MEMOIZE")
        if index > self._seen:
            raise RefusedPickleError(TOO_LARGE)
        self._puts = True
        if (cost := self._stack[-1]) != 1:
            self._memo[index] = cost
        else:
            self._memo.pop(index, None)

    def _to_mark(self) -> list[int]:
        """Take off what lies above the last mark, and the mark."""
        mark = self._marks.pop()
        taken = self._stack[mark:]
        del self._stack[mark:]
        return taken

    def _checked(self, cost: int) -> int:
        """Return a cost unless it is too high."""
        if cost > self._most:
            raise RefusedPickleError(TOO_COSTLY)
        return cost

    def _check_keys(self, costs: list[int]) -> None:
        """Raise where one of the costs is too high for a key."""
        if max(costs, default=0) > MOST:
            raise RefusedPickleError(TOO_COSTLY)


def follow_pickles(file: BinaryIO, count: int) -> None:
    """Follow some pickles that lie one after the other, up to the end of the file.

    Raises
    ------
    RefusedPickleError
        As of `PickleCosts.feed`.
    """
    rest = b""
    for _ in range(count):
        costs = PickleCosts(MOST_BESIDE)
        while not costs.is_over:
            piece = rest or file.read(PIECE)
            if not piece:
                return
            costs.feed(piece)
            rest = b""
        rest = costs.rest
