"""Every trick of hostile pickles, in every kind of file that holds one: refused, nothing run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from guarded import Case, Outcome, read_guarded
from hostile_files import archive, nested_archive, nested_legacy, plain, torch_legacy, torch_zip
from hostile_pickles import attacks, inert_lies

CONTAINERS: dict[str, tuple[Callable[[Path, bytes], Path], str, str]] = {
    "torch zip": (torch_zip, "000000.pt", "checkpoints"),
    "torch legacy": (torch_legacy, "000000.pth", "checkpoints"),
    "plain pickle": (plain, "000000.ckpt", "checkpoints"),
    "NATS archive": (archive, "000000.pickle.pbz2", "checkpoints"),
    "storage in a NATS archive": (nested_archive, "000000.pickle.pbz2", "checkpoints"),
    "legacy storage in a NATS archive": (nested_legacy, "000000.pickle.pbz2", "checkpoints"),
    "CIFAR": (plain, "data_batch_1", "cifar"),
}
ATTACKS = tuple(attacks(Path("canary")))
LIES = tuple(inert_lies())
SECONDS = 10.0
BYTES = 2**28


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    """Read all of them; each has a canary of its own."""
    cases = []
    for kind, (write, name, how) in CONTAINERS.items():
        for number, trick in enumerate((*ATTACKS, *LIES)):
            place = folder / kind.replace(" ", "-") / str(number)
            place.mkdir(parents=True)
            pickled = (attacks(place / "canary") | inert_lies())[trick]
            cases.append(Case(f"{kind}: {trick}", how, str(write(place / name, pickled))))
    return read_guarded(cases)


@pytest.mark.parametrize("trick", ATTACKS)
def test_attacks_are_refused_and_run_nothing(
    folder: Path, outcomes: dict[str, Outcome], trick: str
) -> None:
    """The canary stays unmade, the audit hook saw nothing, the error names file and remedy."""
    for kind, (_, file, _) in CONTAINERS.items():
        check(outcomes[f"{kind}: {trick}"], file)
        place = folder / kind.replace(" ", "-") / str(ATTACKS.index(trick))
        assert not (place / "canary").exists()


@pytest.mark.parametrize("trick", LIES)
def test_lies_are_refused_in_little_time_and_memory(
    outcomes: dict[str, Outcome], trick: str
) -> None:
    """Lengths of 2**62, a memo of 4 billion entries, 2**60 lists in lists: an error, at once."""
    for kind, (_, file, _) in CONTAINERS.items():
        check(outcomes[f"{kind}: {trick}"], file)


def check(outcome: Outcome, file: str) -> None:
    """Assert that a file was refused as it should be."""
    assert outcome.end == "refused", outcome
    assert file in outcome.message
    remedies = ("fetch it again", "fetch the archive", "save", "do not trust")
    assert any(remedy in outcome.message.lower() for remedy in remedies), outcome
    assert outcome.events == ()
    assert outcome.seconds < SECONDS
    assert outcome.peak < BYTES


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bool, Outcome]]:
    """Let Python's own unpickler run every attack; return whether the canary was made."""
    folder = tmp_path_factory.mktemp("controls")
    cases = []
    for number, trick in enumerate(ATTACKS):
        path = plain(folder / f"{number}.pickle", attacks(folder / f"canary{number}")[trick])
        cases.append(Case(trick, "pickle", str(path)))
    found = read_guarded(cases)
    return {
        trick: ((folder / f"canary{number}").exists(), found[trick])
        for number, trick in enumerate(ATTACKS)
    }


@pytest.mark.parametrize("trick", ATTACKS)
def test_attacks_are_real_against_pickle(
    controls: dict[str, tuple[bool, Outcome]], trick: str
) -> None:
    """Where pickle itself reads the same bytes the canary is made and the audit hook sees it."""
    made, outcome = controls[trick]
    assert made, outcome
    assert outcome.events
