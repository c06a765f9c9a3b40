"""The stage order of docs/design.md 5, read off the source; what a command may import."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import genpredict

ROOT = Path(genpredict.__file__).parent
#: Stage of every module and package of genpredict (docs/design.md 5).
STAGES = {
    "_version": 0,
    "errors": 0,
    "schema": 0,
    "inference": 0,
    "atomic": 0,
    "sidecars": 0,
    "locking": 0,
    "outputs": 0,
    "output_kinds": 0,
    "extensions": 0,
    "measure_calls": 0,
    "registry": 0,
    "estimators": 0,
    "options": 0,
    "layers": 1,
    "checkpoints": 1,
    "networks": 1,
    "datasets": 1,
    "spectral": 2,
    "network_measures": 2,
    "progress": 0,
    "rows": 3,
    "row_checks": 3,
    "aggregation": 3,
    "network_columns": 3,
    "norms": 3,
    "probing": 3,
    "targets": 3,
    "measuring": 3,
    "scoring": 3,
    "engine": 4,
    "store": 4,
    "jobs": 4,
    "stats": 5,
    "figures": 6,
    "report": 7,
    "training": 7,
    "integrations": 8,
    "cli": 8,
    "__main__": 9,
}
#: Modules that make up one stage, and so may import each other.
TOGETHER: tuple[set[str], ...] = (
    {
        "_version",
        "errors",
        "schema",
        "extensions",
        "measure_calls",
        "registry",
        "estimators",
        "options",
    },
    {
        "rows",
        "row_checks",
        "aggregation",
        "network_columns",
        "norms",
        "probing",
        "targets",
        "measuring",
        "scoring",
    },
    {"errors", "atomic", "locking", "outputs", "output_kinds"},
    {"engine", "store", "jobs"},
)
#: Stages that may import less than the order allows.
ONLY: dict[str, set[str]] = {
    "errors": set(),
    "schema": {"errors"},
    "inference": {"errors"},
    "atomic": set(),
    "sidecars": set(),
    "locking": {"errors"},
    "outputs": {"errors", "atomic", "locking", "output_kinds"},
    "output_kinds": {"errors"},
    "extensions": {"errors"},
    "measure_calls": {"errors", "schema", "extensions"},
    "registry": {"errors", "schema", "extensions", "measure_calls"},
    "estimators": {"errors"},
    "options": {"_version", "errors", "schema", "registry", "estimators"},
    "layers": {"errors", "schema"},
    "checkpoints": {"errors", "atomic", "sidecars", "schema", "registry", "layers", "extensions"},
    "spectral": {"errors", "schema", "registry", "measure_calls", "estimators", "options"},
    "networks": {"errors", "extensions"},
    "network_measures": {"errors", "spectral"},
    "datasets": {"errors", "sidecars"},
    "stats": {
        "errors",
        "extensions",
        "outputs",
        "output_kinds",
        "schema",
        "options",
        "inference",
        "registry",
        "rows",
        "aggregation",
        "store",
    },
    "figures": {
        "errors",
        "schema",
        "inference",
        "outputs",
        "aggregation",
        "store",
        "spectral",
        "stats",
    },
    "report": {
        "errors",
        "schema",
        "inference",
        "outputs",
        "aggregation",
        "store",
        "stats",
        "figures",
    },
    "training": {
        "errors",
        "extensions",
        "progress",
        "schema",
        "checkpoints",
        "layers",
        "networks",
        "datasets",
        "spectral",
        "engine",
        "atomic",
        "locking",
        "sidecars",
    },
}
#: What a stage does without (docs/design.md 5).
WITHOUT = {
    "checkpoints": {"xarray", "zarr", "scipy"},
    "layers": {"xarray", "zarr", "scipy"},
    "spectral": {"xarray", "zarr", "pandas"},
    "stats": {"torch"},
    "figures": {"torch", "scipy"},
    "report": {"torch", "scipy"},
    "networks": {"xarray", "zarr", "pandas"},
    "network_measures": {"xarray", "zarr", "pandas"},
}
HEAVY = ("torch", "xarray", "pandas", "zarr", "scipy", "numpy", "matplotlib", "sklearn")


def stage_of(file: Path) -> str:
    """Return the module or package right below genpredict."""
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def files() -> tuple[Path, ...]:
    """List the source files, the contents page apart."""
    return tuple(file for file in sorted(ROOT.rglob("*.py")) if file != ROOT / "__init__.py")


def imported(file: Path) -> Iterator[str]:
    """Yield the full names that a file imports anywhere in it, the checks for types included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; write the whole name"
            yield node.module or ""
            if node.module == "genpredict":
                yield from (f"genpredict.{alias.name}" for alias in node.names)


def imported_stages(file: Path) -> set[str]:
    """Return the stages of genpredict that a file imports, its own apart."""
    parts = [name.split(".") for name in imported(file)]
    stages = {name[1] for name in parts if name[0] == "genpredict" and len(name) > 1}
    return {name for name in stages - {stage_of(file)} if not name.startswith("__")}


def test_every_module_has_a_stage() -> None:
    """A new module takes its place in the order of docs/design.md 5 (and in STAGES above)."""
    assert {stage_of(file) for file in files()} <= set(STAGES)


def test_a_stage_imports_only_earlier_stages_against_design() -> None:
    """Stages of a smaller number, or of the same stage; less where docs/design.md 5 says so."""
    offenders = {
        str(file.relative_to(ROOT)): later
        for file in files()
        if (later := imported_stages(file) - allowed_stages(stage_of(file)))
    }
    assert not offenders


def allowed_stages(stage: str) -> set[str]:
    """Return the stages that a stage may import."""
    same = next((group for group in TOGETHER if stage in group), set())
    earlier = {name for name, number in STAGES.items() if number < STAGES[stage]}
    return ONLY.get(stage, earlier | same)


@pytest.mark.parametrize("stage", WITHOUT)
def test_a_stage_does_without_against_design(stage: str) -> None:
    """Spectra know no labels, statistics and figures no torch, readers no mathematics."""
    tops = {n.split(".")[0] for f in files() if stage_of(f) == stage for n in imported(f)}
    assert not tops & WITHOUT[stage]


def test_modules_of_one_stage_import_each_other_in_no_circle() -> None:
    """Also within a stage there is an order."""
    graph = {name: set[str]() for name in STAGES}
    for file in files():
        graph[stage_of(file)] |= imported_stages(file)
    assert not circle(graph)


def test_modules_of_the_batch_job_import_each_other_in_no_circle() -> None:
    """From units of work to shards there is an order."""
    modules = {f"genpredict.jobs.{file.stem}": file for file in (ROOT / "jobs").glob("[!_]*.py")}
    assert "genpredict.jobs.units" in modules
    assert not circle({name: set(imported(file)) & set(modules) for name, file in modules.items()})


def circle(graph: dict[str, set[str]]) -> set[str]:
    """Return the names of a graph of imports that have no place in any order."""
    order: list[str] = []
    while ready := [name for name in graph if graph[name] <= set(order)]:
        order += ready
        for name in ready:
            del graph[name]
    return set(graph)


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the top-level modules it has loaded."""
    report = "\nimport sys; print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_spectral_loads_no_xarray() -> None:
    """Neither by itself nor through what it imports: kernels are tensors only."""
    loaded = loaded_after("import genpredict.spectral")
    assert "torch" in loaded
    assert not loaded & {"xarray", "zarr", "pandas"}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["score", "--help"], ["show", "--help"]])
def test_the_command_line_loads_nothing_heavy(arguments: list[str]) -> None:
    """Imported alone, or asked for help: so that it answers at once (docs/design.md 5)."""
    code = "import genpredict.cli"
    if arguments:
        code += f"; assert genpredict.cli.run({arguments!r}) == 0"
    loaded = loaded_after(code)
    assert "cyclopts" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("name", ["score", "open_scores"])
def test_public_name_on_the_contents_page(name: str) -> None:
    """``genpredict.score`` and ``genpredict.open_scores`` are there (docs/design.md 5)."""
    assert callable(getattr(genpredict, name))


def test_every_public_name_resolves() -> None:
    """The contents page lists what can be imported, no more and no less."""
    assert sorted(genpredict.__all__) == sorted(genpredict._MODULE_OF)
    for name in genpredict.__all__:
        assert getattr(genpredict, name).__name__ == name


def test_subpackages_are_reachable_after_the_plain_import() -> None:
    """``import genpredict`` is enough for ``genpredict.networks`` and every other subpackage."""
    packages = [
        file.parent.name for file in ROOT.glob("*/__init__.py") if file.parent.name != "cli"
    ]
    assert "networks" in packages
    code = "import genpredict\n"
    code += "".join(
        f"assert genpredict.{name}.__name__ == 'genpredict.{name}'\n" for name in packages
    )
    assert "torch" in loaded_after(code)


def test_import_genpredict_loads_nothing_heavy() -> None:
    """Names and subpackages load at their first use."""
    assert not loaded_after("import genpredict; dir(genpredict)") & set(HEAVY)


def test_python_m_genpredict_is_the_command_line() -> None:
    """The command line works where the script is not on the path."""
    command = [sys.executable, "-m", "genpredict", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == genpredict.__version__


def test_every_file_of_tests_can_be_run_alone_and_with_all_others() -> None:
    """Helpers lie beside their tests or on pytest's `pythonpath`; no two files have one name."""
    tests = ROOT.parent / "tests"
    options = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    shared = [ROOT.parent / folder for folder in options["pytest"]["ini_options"]["pythonpath"]]
    every = [file for file in tests.rglob("*.py") if file.stem != "conftest"]
    counts = Counter(file.stem for file in every)
    assert not [name for name, count in counts.items() if count > 1]
    lost = {
        f"{file.relative_to(tests)}: {name}"
        for file in every
        for name in {full.split(".")[-1] for full in imported(file)} & counts.keys()
        if not any((folder / f"{name}.py").exists() for folder in [file.parent, *shared])
    }
    assert not lost
    folders = {folder.name for folder in tests.iterdir() if folder.is_dir()}
    through_folders = {
        f"{file.relative_to(tests)}: {name}"
        for file in every
        for name in imported(file)
        if "." in name and name.split(".")[0] in folders
    }
    assert not through_folders, "import helpers by their own names"
