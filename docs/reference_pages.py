"""The pages of the reference: every public name, in the order of the work.

What is public is said once, in ``__all__`` of genpredict and its subpackages; names, sections and
their introductions come from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import genpredict

#: Sections in the order of the work: a module or subpackage, and what it is about.
SECTIONS = {
    "checkpoints": "Checkpoints",
    "layers": "Layers",
    "spectral": "Spectra and layer measures",
    "registry": "Measures of your own",
    "scoring": "Scores",
    "targets": "Targets",
    "store": "Stores",
    "aggregation": "Network measures",
    "network_measures": "Measures of networks that can be built",
    "stats": "Statistics",
    "figures": "Figures",
    "report": "Report",
    "training": "Training",
    "integrations": "In other training loops",
    "networks": "Networks",
    "datasets": "Data sets",
}
LAST = "Errors and the rest"


@dataclass(frozen=True)
class Section:
    """A heading, a sentence, and full names."""

    title: str
    introduction: str
    names: tuple[str, ...]


def public_names() -> dict[str, str]:
    """Return the module of every public name, by its full name.

    A name that ``genpredict`` and a subpackage both have is listed once, as ``genpredict.NAME``.
    """
    modules = {f"genpredict.{name}": genpredict._MODULE_OF[name] for name in genpredict.__all__}
    for package in genpredict._SUBPACKAGES:
        module = import_module(f"genpredict.{package}")
        for name in getattr(module, "__all__", ()):
            if name not in genpredict.__all__:
                modules[f"genpredict.{package}.{name}"] = package
    return modules


def sections() -> Iterator[Section]:
    """Yield the sections that have names; what belongs to no known module comes last."""
    modules = public_names()
    for module, title in SECTIONS.items():
        names = tuple(name for name, home in modules.items() if home == module)
        sentence = (import_module(f"genpredict.{module}").__doc__ or "").split("\n\n")[0]
        yield Section(title, sentence.strip().replace("\n", " "), names)
    rest = tuple(name for name, home in modules.items() if home not in SECTIONS)
    yield Section(LAST, "", rest)


def reference_text() -> str:
    """Return the page that lists every public name; a page of its own is made of each."""
    lines = ["Reference", "=========", ""]
    lines += ["Everything that is public, in the order of the work. Names of `genpredict` itself"]
    lines += ["load what they need at their first use; subpackages are reachable after", ""]
    lines += [".. code-block:: python", "", "   import genpredict", ""]
    for section in sections():
        if section.names:
            lines += [section.title, "-" * len(section.title), "", section.introduction, ""]
            lines += [".. autosummary::", "   :toctree: names", ""]
            lines += [f"   {name}" for name in section.names] + [""]
    return "\n".join(lines)


def write_reference(folder: Path) -> None:
    """Write the page, where it is not there already with this text (Sphinx looks at times).

    Pages of names that are public no longer, which autosummary has made before, are deleted.
    """
    folder.mkdir(exist_ok=True)
    listed = {name for section in sections() for name in section.names}
    for page in (folder / "names").glob("*.rst"):
        if page.stem not in listed:
            page.unlink()
    page = folder / "index.rst"
    text = reference_text()
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
