"""Names, defaults, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from tiny_training import make_closure, tiny_batches, tiny_network, train_steps
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.training.optimizers import (
    OPTIMIZERS,
    RMSGD,
    build_optimizer,
    default_hyperparameters,
)
from genpredict.training.optimizers.hyperparameters import RULES

#: Table 5 of the paper; SAM's printed 1.0 is not our default, AdaBelief's is its own paper's.
TABLE_5 = {
    "adabound": 0.01,
    "adagrad": 0.01,
    "adam": 0.0003,
    "adamp": 0.01,
    "sls": 1.0,
    "sgd": 0.1,
    "sgdp": 0.1,
    "rmsgd": 0.03,
}
NAMES = tuple(OPTIMIZERS)
EVERY = [(name, one) for name in NAMES for one in default_hyperparameters(name)]
OUTSIDE: dict[str, tuple[Any, ...]] = {
    "lr": (0, -0.1),
    "momentum": (-0.1, 1, 1.5),
    "beta1": (-0.1, 1.0),
    "beta2": (-0.1, 1.0),
    "weight_decay": (-1e-4,),
    "eps": (0, -1e-8),
    "final_lr": (0, -1),
    "gamma": (0, -1),
    "max_lr": (0, -1),
    "rho": (0, -0.05),
    "delta": (-0.1,),
    "wd_ratio": (-0.1, 1.1),
    "lr_decay": (-0.1,),
    "initial_accumulator": (-0.1,),
    "c": (0, 1),
    "beta": (-0.1, 1),
    "zeta": (-1,),
    "reset": ("shrink",),
    "steps_per_epoch": (0, 1.5),
    "max_trials": (0, 2.5),
    "p": (0, 3, True),
    "estimator": ("local",),
    "variant": ("printed",),
    "dtype": ("float16", torch.float64),
}
NOT_FINITE = (float("nan"), float("inf"), -float("inf"))
WRONG_TYPE = ("fast", None, [0.1], torch.tensor(0.1))


def nonsense(name: str, one: str) -> tuple[Any, ...]:
    """List what a hyperparameter of an optimizer must not be."""
    if isinstance(default_hyperparameters(name)[one], bool):
        return (1, "yes", None)
    return (*NOT_FINITE, *WRONG_TYPE, False, *OUTSIDE[one])


def test_ten_optimizers_of_the_paper() -> None:
    """The registry has the issue's names, in lower case, with the paper's titles."""
    assert set(NAMES) == {*TABLE_5, "adabelief", "sam"}
    assert {spec.title.lower() for spec in OPTIMIZERS.values()} == set(NAMES)
    assert {name for name, spec in OPTIMIZERS.items() if not spec.steps_down} == {"rmsgd", "sls"}


@pytest.mark.parametrize("name", TABLE_5)
def test_rates_against_table_5(name: str) -> None:
    """Learning rates are those printed; weight decay is 5e-4 and momentum .9 throughout."""
    defaults = default_hyperparameters(name)
    assert defaults["lr"] == TABLE_5[name]
    assert defaults["weight_decay"] == 5e-4
    assert defaults.get("momentum", 0.9) == 0.9


def test_sam_and_adabelief_say_where_their_rates_are_from() -> None:
    """One is printed implausibly, the other not at all."""
    assert default_hyperparameters("sam")["lr"] == 0.1
    assert "Table 5 prints lr 1.0" in OPTIMIZERS["sam"].source
    assert default_hyperparameters("adabelief")["lr"] == 1e-3
    assert "Zhuang" in OPTIMIZERS["adabelief"].source


@pytest.mark.parametrize("name", NAMES)
def test_every_hyperparameter_reaches_the_optimizer(name: str) -> None:
    """Groups hold the defaults; the network's names come along."""
    group = build_optimizer(name, tiny_network()).param_groups[0]
    assert group["lr"] == default_hyperparameters(name)["lr"]
    assert group["weight_decay"] == 5e-4
    assert group["param_names"][0] == "0.weight"
    if name in ("adabelief", "adabound"):
        assert group["weight_decouple"] is False
    if "beta1" in default_hyperparameters(name):
        assert group["betas"] == (0.9, 0.999)


def test_defaults_are_a_copy() -> None:
    """What a caller does with them changes no later one."""
    default_hyperparameters("sgd")["lr"] = 7.0
    assert default_hyperparameters("sgd")["lr"] == 0.1


def test_nesterov_of_the_nats_recipe_against_torch() -> None:
    """``sgd`` with these hyperparameters is torch's."""
    options = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    ours, torchs = tiny_network(), tiny_network()
    optimizers = (
        build_optimizer("sgd", ours, **options),
        torch.optim.SGD(torchs.parameters(), **options),
    )
    for network, optimizer in zip((ours, torchs), optimizers, strict=True):
        torch.manual_seed(1)
        train_steps(network, optimizer, tiny_batches(3))
    for mine, other in zip(ours.parameters(), torchs.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(("name", "one"), EVERY)
def test_nonsense_is_refused(name: str, one: str) -> None:
    """The message names optimizer, hyperparameter, rule, value, and the hyperparameters known."""
    network = tiny_network()
    rule = RULES.get(f"{name}.{one}") or RULES[one]
    for value in nonsense(name, one):
        with pytest.raises(GenpredictError) as caught:
            build_optimizer(name, network, **{one: value})
        text = str(caught.value)
        assert text.startswith(f"{name}: {one} must {rule.text}, not {value!r}; ")
        assert all(f"{known} = " in text for known in default_hyperparameters(name))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_hyperparameter_is_refused(name: str) -> None:
    """The message lists those that there are, with their defaults."""
    with pytest.raises(GenpredictError, match=rf"{name}: there is no 'warmth'; .*lr = "):
        build_optimizer(name, tiny_network(), warmth=1)


@pytest.mark.parametrize("name", ["sgd", "sam", "sgdp", "rmsgd"])
def test_nesterov_without_momentum_is_refused(name: str) -> None:
    """There is nothing to look ahead by."""
    with pytest.raises(GenpredictError, match=f"{name}: nesterov must be False, not True, without"):
        build_optimizer(name, tiny_network(), nesterov=True, momentum=0)


def test_an_unknown_optimizer_is_refused() -> None:
    """The message lists all ten."""
    text = "there is none called 'lion'; known optimizers: sgd, adam, adagrad, .*, rmsgd"
    with pytest.raises(GenpredictError, match=text):
        build_optimizer("lion", tiny_network())
    with pytest.raises(GenpredictError, match=text):
        default_hyperparameters("lion")


def test_a_network_without_parameters_is_refused() -> None:
    """There is nothing to optimize."""
    with pytest.raises(GenpredictError, match="network: has no parameters for adam to optimize"):
        build_optimizer("adam", nn.ReLU())


def test_what_rmsgd_refuses_has_its_name_in_front() -> None:
    """Rules that only the class knows come through."""
    with pytest.raises(GenpredictError, match='rmsgd: p: must be 1 with variant="released"'):
        build_optimizer("rmsgd", tiny_network(), variant="released", p=2)


def test_rmsgd_is_ours() -> None:
    """Measures in the dtype asked for."""
    optimizer = build_optimizer("rmsgd", tiny_network(), dtype="float32")
    assert isinstance(optimizer, RMSGD)
    assert optimizer.param_groups[0]["dtype"] is torch.float32


@pytest.mark.parametrize("name", ["adabelief", "adabound", "adamp", "sgdp", "sam"])
def test_a_missing_package_has_a_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These come with the extra `train`; the others do without."""
    for module in ("peers", "sharpness"):
        monkeypatch.delitem(sys.modules, f"genpredict.training.optimizers.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(GenpredictError, match=rf"{name}: needs .*'genpredict\[train\]'"):
        build_optimizer(name, tiny_network())
    build_optimizer("sgd", tiny_network())


@pytest.mark.parametrize("name", NAMES)
def test_frozen_parameters_stay(name: str) -> None:
    """And the step returns the loss before it."""
    network = tiny_network()
    network[0].weight.requires_grad_(False)
    before = [parameter.clone() for parameter in network.parameters()]
    optimizer = build_optimizer(name, network)
    closure = make_closure(network, optimizer, tiny_batches(1)[0])
    loss = optimizer.step(closure)
    assert loss.item() == closure.losses[0]  # type: ignore[attr-defined]
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert moved[0] is False
    assert moved[-2] is True


@pytest.mark.parametrize("name", NAMES)
def test_one_step_draws_what_one_evaluation_draws(name: str) -> None:
    """However often a batch is evaluated: random generator and statistics move once."""
    network, alone = tiny_network(), tiny_network()
    batch = tiny_batches(1)[0]
    optimizer = build_optimizer(name, network)
    torch.manual_seed(3)
    optimizer.step(make_closure(network, optimizer, batch))
    after = torch.get_rng_state()
    torch.manual_seed(3)
    alone(batch[0])
    assert torch.equal(after, torch.get_rng_state())
    for (key, mine), other in zip(network.named_buffers(), alone.buffers(), strict=True):
        assert torch.equal(mine, other), key


def test_names_and_defaults_need_no_torch() -> None:
    """Settings are completed and help is printed without waiting for it."""
    code = (
        "import sys; from genpredict.training.optimizers import default_hyperparameters as d; "
        "d('sam'); print(sorted({'torch', 'numpy', 'pytorch_optimizer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
