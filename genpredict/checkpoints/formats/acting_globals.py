"""Which names in a pickle ask to run code.

Nothing that a pickle names is ever imported here, so that these rules protect nobody: they tell a
reader that a file was made to do harm. What merely stands beside weights (options, dates, random
states, optimizers, classes of the user's own) asks for nothing and is passed over.
"""

from __future__ import annotations

import sys
from functools import lru_cache

ACTING_MODULES = frozenset(
    (
        "os", "posix", "nt", "posixpath", "ntpath", "sys", "subprocess", "_posixsubprocess", "pty",
        "shutil", "socket", "_socket", "ssl", "ctypes", "_ctypes", "runpy", "importlib", "imp",
        "pkgutil", "zipimport", "webbrowser", "antigravity", "code", "codeop", "timeit", "cProfile",
        "profile", "trace", "pdb", "bdb", "doctest", "pydoc", "pickle", "_pickle", "cPickle",
        "marshal", "shelve", "dbm", "multiprocessing", "_winapi", "winreg", "msvcrt", "signal",
        "asyncio", "concurrent", "commands", "popen2", "distutils", "setuptools", "pip",
        "ensurepip", "venv", "idlelib", "lib2to3", "test", "tempfile", "fileinput", "glob", "mmap",
        "ftplib", "smtplib", "telnetlib", "poplib", "imaplib", "nntplib", "http", "urllib",
        "xmlrpc", "socketserver", "wsgiref", "cgi", "crypt", "fcntl", "resource", "gc", "inspect",
        "linecache", "tracemalloc", "faulthandler", "site", "sysconfig", "platform", "sqlite3",
        "numpy.f2py", "numpy.testing", "numpy.distutils", "numpy.lib.npyio", "numpy.lib.format",
        "torch.hub", "torch.utils.collect_env", "torch.utils.cpp_extension", "torch.package",
        "torch.utils.model_zoo", "torch.utils._cpp_extension_versioner", "IPython", "pexpect",
        "paramiko", "fabric", "requests", "pkg_resources",
    )
)  # fmt: skip
"""Modules whose functions start programs, change files, call machines or run texts."""

HARMLESS_IN_THEM = frozenset(
    (
        "os.stat_result", "posix.stat_result", "os.terminal_size", "os.PathLike",
        "sys.version_info", "signal.Signals", "signal.Handlers", "http.HTTPStatus",
        "inspect._empty", "inspect._ParameterKind", "inspect.Parameter", "inspect.Signature",
        "platform.uname_result", "multiprocessing.context.AuthenticationString",
        *(f"urllib.parse.{name}Result" for name in ("Parse", "Split", "Defrag")),
        *(f"{module}.{name}" for module in ("posixpath", "ntpath") for name in ("join", "sep")),
    )
)  # fmt: skip

ACTING_NAMES = frozenset(
    (
        "eval", "exec", "execfile", "compile", "__import__", "open", "file", "input", "raw_input",
        "breakpoint", "globals", "locals", "vars", "setattr", "delattr", "exit", "quit", "help",
        "apply", "reload", "memoryview",
    )
)  # fmt: skip
"""Of ``builtins``."""

ACTING_ELSEWHERE = frozenset(
    (
        "numpy.load", "numpy.save", "numpy.savez", "numpy.memmap", "numpy.fromfile",
        "numpy.loadtxt", "numpy.savetxt", "numpy.genfromtxt", "numpy.core.memmap.memmap",
        "numpy._core.memmap.memmap", "torch.load", "torch.save", "torch.serialization.load",
        "torch.serialization.save", "torch.jit.load", "torch.jit.save", "torch.compile",
        "pandas.eval", "pandas.read_pickle", "pandas.io.pickle.read_pickle", "joblib.load",
        "joblib.numpy_pickle.load", "dill.loads", "dill.load", "dill._dill.loads",
        "cloudpickle.loads", "cloudpickle.load", "cloudpickle.cloudpickle.loads", "yaml.load",
        "yaml.unsafe_load", "io.open", "_io.open", "io.FileIO", "_io.FileIO", "io.open_code",
        "types.FunctionType", "types.CodeType", "types.ModuleType", "threading.Thread",
        "copyreg.add_extension", "copyreg.pickle", "copyreg.constructor", "codecs.open",
        "logging.FileHandler", "logging.config.dictConfig", "logging.config.fileConfig",
        "builtins.type.__subclasses__",
    )
)  # fmt: skip

_PLAIN_MODULES = frozenset(
    (
        "collections", "_collections", "datetime", "_datetime", "decimal", "_decimal", "_pydecimal",
        "fractions", "uuid", "pathlib", "random", "_random", "time", "zoneinfo", "itertools",
        "enum", "array", "ipaddress", "argparse", "string", "typing", "dataclasses", "statistics",
        "numbers", "_codecs", "abc", "json", "calendar", "weakref", "copy", "re", "sre_compile",
        "optparse", "configparser", "queue", "threading", "_thread", "xml", "email", "locale",
    )
)  # fmt: skip
"""Modules of Python whose classes and functions make values and nothing else."""

_PLAIN_CALLS = frozenset(
    (
        "copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__",
        "functools.partial", "functools.partialmethod", "functools.cmp_to_key",
        "operator.itemgetter", "operator.attrgetter", "operator.methodcaller",
        "types.SimpleNamespace", "types.MappingProxyType", "types.GenericAlias",
        "types.DynamicClassAttribute", "types.NoneType", "types.UnionType", "types.MethodType",
        "logging.getLogger", "io.BytesIO", "io.StringIO", "_io.BytesIO", "_io.StringIO",
        *(
            f"builtins.{name}" for name in (
                "object", "dict", "list", "set", "frozenset", "tuple", "int", "long", "float",
                "bool", "complex", "str", "unicode", "bytes", "bytearray", "slice", "range",
                "xrange", "type", "getattr", "iter", "reversed", "enumerate", "zip", "property",
                "staticmethod", "classmethod", "super",
            )
        ),
    )
)  # fmt: skip
_UNPICKLERS = ("_unpickle", "_reconstruct", "_from", "_make", "__new__", "from", "utcfrom")


def acts(module: str, name: str) -> bool:
    """Return whether a name asks to run code by being there at all.

    Examples
    --------
    >>> acts("os", "system"), acts("torch.serialization", "os.system"), acts("builtins", "eval")
    (True, True, True)
    >>> acts("functools", "partial"), acts("__main__", "Config"), acts("builtins", "dict")
    (False, False, False)
    """
    whole = f"{module}.{name}"
    if whole in HARMLESS_IN_THEM:
        return False
    if whole in ACTING_ELSEWHERE or (module == "builtins" and name in ACTING_NAMES):
        return True
    if any(part in ACTING_MODULES or part in ACTING_NAMES for part in name.split(".")[:-1]):
        return True
    if "." in name and name.rpartition(".")[2] in ("__globals__", "__builtins__", "__subclasses__"):
        return True
    return any(start in ACTING_MODULES for start in _starts(module))


@lru_cache(maxsize=1024)
def acts_when_called(module: str, name: str) -> bool:
    """Return whether calling a function of Python's own library is more than making a value.

    Examples
    --------
    >>> acts_when_called("functools", "reduce"), acts_when_called("pathlib", "Path.touch")
    (True, True)
    >>> acts_when_called("datetime", "date"), acts_when_called("mypackage", "rebuild")
    (False, False)
    """
    if not is_of_python(module) or f"{module}.{name}" in _PLAIN_CALLS:
        return False
    last = name.rpartition(".")[2]
    if "." in name and not last[:1].isupper():
        return not last.startswith(_UNPICKLERS)
    is_class = last.lstrip("_")[:1].isupper()
    return not is_class and module.partition(".")[0] not in _PLAIN_MODULES


def is_of_python(module: str) -> bool:
    """Return whether a module belongs to Python's own library."""
    return module.partition(".")[0] in sys.stdlib_module_names


def is_plain_attribute(name: str) -> bool:
    """Return whether a method of a class of Python's own library only makes a value of it."""
    return name.startswith(_UNPICKLERS)


def _starts(module: str) -> list[str]:
    """Return a module's name and those of the packages above it."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
