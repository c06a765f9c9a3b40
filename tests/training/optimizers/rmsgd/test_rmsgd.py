"""RMSGD as an optimizer: groups, names, state, schedulers, closures, scaling, lists."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from digits_problem import batches, closure_of, digits, small_network
from synchronisation import NoHostReads, NoSynchronisation, refused
from torch import nn

from genpredict.errors import GenpredictError
from genpredict.spectral import measure_weights
from genpredict.training.optimizers import RMSGD

FORMS: list[dict[str, Any]] = [
    {},
    {"nesterov": True, "weight_decay": 0.0},
    {"momentum": 0.0},
    {"variant": "released"},
    {"variant": "released", "nesterov": True},
    {"variant": "released", "momentum": 0.0},
    {"estimator": "reference", "p": 2, "hold": False, "dtype": torch.float32},
]


def train(network: nn.Module, optimizer: RMSGD, epochs: range) -> None:
    """Train for some epochs in the network's precision."""
    dtype = next(network.parameters()).dtype
    for epoch in epochs:
        for images, labels in batches(epoch, dtype=dtype):
            optimizer.step(closure_of(network, optimizer, images, labels))
        optimizer.epoch_step()


def weights_of(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def assert_same(one: nn.Module, other: nn.Module) -> None:
    """Equal to the last bit."""
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def through_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    read: dict[str, Any] = torch.load(file, weights_only=True)
    return read


# --- state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("stop", [1, 4])
def test_resumes_bit_for_bit(form: dict[str, Any], stop: int) -> None:
    """Six epochs in one go, or stopped, saved, loaded with weights_only and continued."""
    whole = small_network(dtype=torch.float32)
    straight = RMSGD(whole.named_parameters(), **form)
    train(whole, straight, range(6))
    first = small_network(dtype=torch.float32)
    stopped = RMSGD(first.named_parameters(), **form)
    train(first, stopped, range(stop))
    second = small_network(seed=5, dtype=torch.float32)
    second.load_state_dict(through_file(first.state_dict()))
    resumed = RMSGD(second.named_parameters(), lr=0.5)
    resumed.load_state_dict(through_file(stopped.state_dict()))
    train(second, resumed, range(stop, 6))
    assert_same(whole, second)
    assert resumed.learning_rates() == straight.learning_rates()
    assert resumed.param_groups[0]["epoch"] == 6


def test_state_is_in_state_and_groups_alone() -> None:
    """No attribute of its own: copies and pickles of the optimizer go on like the original."""
    network = small_network()
    optimizer = RMSGD(network.named_parameters())
    train(network, optimizer, range(2))
    plain = torch.optim.SGD(small_network().named_parameters(), lr=0.1)
    assert vars(optimizer).keys() - {"_zero_grad_profile_name"} <= vars(plain).keys()
    assert set(optimizer.state[network[0].weight]) == {
        "rate", "stable_rank", "has_signal", "momentum_buffer",
    }  # fmt: skip
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other.learning_rates() == optimizer.learning_rates()


def test_state_of_another_optimizer_is_refused() -> None:
    """Loading SGD's state says what is missing."""
    network = small_network()
    other = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(GenpredictError, match=r"^state_dict: is of another optimizer .* beta"):
        RMSGD(network.parameters()).load_state_dict(other.state_dict())


# --- lists, closures, precision ------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lists_equal_one_by_one(form: dict[str, Any], dtype: torch.dtype) -> None:
    """`foreach=True` gives the same bits as `foreach=False`."""
    networks = []
    for foreach in (True, False):
        network = small_network(dtype=dtype)
        train(network, RMSGD(network.named_parameters(), foreach=foreach, **form), range(3))
        networks.append(network)
    assert_same(*networks)


def test_lists_of_mixed_precision_equal_one_by_one() -> None:
    """Also where parameters of one group differ in dtype."""
    results = []
    for foreach in (True, False):
        torch.manual_seed(0)
        wide = nn.Parameter(torch.randn(6, 4, dtype=torch.float64))
        narrow = nn.Parameter(torch.randn(6, 4, dtype=torch.float32))
        optimizer = RMSGD([wide, narrow], foreach=foreach)
        for _ in range(3):
            for one in (wide, narrow):
                one.grad = one.detach().sin()
            optimizer.step()
        results.append((wide.detach(), narrow.detach()))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_closure_equals_backward_before_step() -> None:
    """A closure is called once, with gradients on; its loss comes back."""
    one, other = small_network(), small_network()
    with_closure, without = (RMSGD(n.named_parameters()) for n in (one, other))
    images, labels = digits(64, torch.float64)
    calls: list[bool] = []
    inner = closure_of(one, with_closure, images, labels)

    def closure() -> float:
        calls.append(torch.is_grad_enabled())
        return inner()

    with torch.no_grad():
        loss = with_closure.step(closure)
    expected = nn.functional.cross_entropy(other(images), labels)
    expected.backward()
    assert without.step() is None
    assert calls == [True]
    assert torch.equal(loss, expected)
    assert_same(one, other)


def test_gradients_stay_as_they_are() -> None:
    """Weight decay is not added to `grad` itself: a second step without zero_grad is the same."""
    for foreach in (True, False):
        weight = nn.Parameter(torch.ones(4, 4))
        weight.grad = torch.full((4, 4), 0.5)
        RMSGD([weight], weight_decay=0.1, foreach=foreach).step()
        assert torch.equal(weight.grad, torch.full((4, 4), 0.5))


def test_grad_scaler_and_autocast() -> None:
    """Scaled gradients give the same step; an overflow skips it."""
    network, twin = small_network(), small_network()
    optimizer, plain = (RMSGD(n.named_parameters()) for n in (network, twin))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    images, labels = digits(64, torch.float64)
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(nn.functional.cross_entropy(network(images), labels)).backward()
        scaler.step(optimizer)
        scaler.update()
        plain.step(closure_of(twin, plain, images, labels))
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)
    before = weights_of(network)
    network[0].weight.grad.fill_(torch.inf)
    scaler.step(optimizer)
    scaler.update()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert scaler.get_scale() == 512.0


def test_training_under_autocast() -> None:
    """Forward in bfloat16, weights in float32: it trains and its rates move."""
    network = small_network(dtype=torch.float32)
    optimizer = RMSGD(network.named_parameters())
    losses = []
    for epoch in range(20):
        for images, labels in batches(epoch, dtype=torch.float32):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
        optimizer.epoch_step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert set(optimizer.learning_rates().values()) != {0.03}


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("foreach", [True, False])
def test_a_step_never_waits_for_the_device_against_theory(
    form: dict[str, Any], foreach: bool
) -> None:
    """No item, nonzero or copy to the host in `step`, first or later, whatever the options."""
    network = small_network()
    optimizer = RMSGD(network.named_parameters(), foreach=foreach, **form)
    images, labels = digits(32, torch.float64)
    for _ in range(2):
        closure_of(network, optimizer, images, labels)()
        with NoHostReads(), NoSynchronisation():
            optimizer.step()
        optimizer.epoch_step()
    assert refused(optimizer.epoch_step) is not None  # the mode sees what does wait


# --- groups and parameters -----------------------------------------------------------------------


def test_groups_have_hyperparameters_of_their_own() -> None:
    """Each moves by its own; what a group leaves out is the optimizer's."""
    a, b = (nn.Parameter(torch.ones(3, 3)) for _ in range(2))
    optimizer = RMSGD([{"params": [a], "lr": 0.5}, {"params": [b], "momentum": 0.0}], lr=0.1)
    for one in (a, b):
        one.grad = torch.ones(3, 3)
    optimizer.step()
    optimizer.step()
    assert optimizer.param_groups[1]["weight_decay"] == 5e-4
    g = 1 + 5e-4
    v = -0.5 * g
    second = 0.9 * v - 0.5 * (1 + 5e-4 * (1 + v))
    torch.testing.assert_close(a.detach(), torch.full((3, 3), 1 + v + second))
    torch.testing.assert_close(
        b.detach(), torch.full((3, 3), (1 - 0.1 * g) - 0.1 * (1 + 5e-4 * (1 - 0.1 * g)))
    )


def test_parameters_without_gradients_stay() -> None:
    """Unused and frozen parameters are neither decayed nor given a velocity."""
    network = small_network()
    network[3].bias.requires_grad_(False)
    optimizer = RMSGD(network.named_parameters())
    before = weights_of(network)
    network[0].weight.grad = torch.ones_like(network[0].weight)
    optimizer.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert moved == [True] + [False] * (len(moved) - 1)
    assert "momentum_buffer" not in optimizer.state[network[3].bias]
    optimizer.epoch_step()


@pytest.mark.parametrize("foreach", [False, True])
def test_a_frozen_parameter_with_a_gradient_left_over_stays(foreach: bool) -> None:
    """Neither decayed nor carried on by its velocity."""
    network = small_network()
    optimizer = RMSGD(network.named_parameters(), foreach=foreach)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    network[3].weight.requires_grad_(False)
    optimizer.zero_grad(set_to_none=False)
    before = weights_of(network)
    optimizer.step()
    names = [name for name, _ in network.named_parameters()]
    moved = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert dict(zip(names, moved, strict=True)) == {name: name != "3.weight" for name in names}


def test_freed_parameters_are_measured_from_then_on() -> None:
    """Freezing and freeing between epochs is seen by the next epoch_step."""
    network = small_network()
    network[3].weight.requires_grad_(False)
    optimizer = RMSGD(network.named_parameters())
    assert len(optimizer.epoch_step().finite) == 2
    network[3].weight.requires_grad_(True)
    assert len(optimizer.epoch_step().finite) == 3


def test_tied_weights_count_once() -> None:
    """A weight given twice in a group is stepped once; in two groups it is refused."""
    shared = nn.Linear(4, 4, bias=False)
    optimizer = RMSGD([*shared.parameters(), *shared.parameters()], weight_decay=0.0)
    shared.weight.grad = torch.ones(4, 4)
    before = shared.weight.detach().clone()
    optimizer.step()
    torch.testing.assert_close(shared.weight.detach(), before - 0.03)
    assert len(optimizer.layers()) == 1
    groups = [{"params": shared.named_parameters()} for _ in range(2)]
    with pytest.raises(GenpredictError, match=r"^weight: is in another group already"):
        RMSGD(groups)


def test_added_group_begins_at_its_lr() -> None:
    """A group added later starts its own rates, the others go on."""
    network = small_network()
    optimizer = RMSGD([{"params": network[3].named_parameters()}])
    optimizer.epoch_step()
    optimizer.add_param_group({"params": network[7].named_parameters(), "lr": 0.2})
    assert optimizer.learning_rates()["group1.weight"] == 0.2
    assert [group["epoch"] for group in optimizer.param_groups] == [1, 0]
    assert len(optimizer.epoch_step().finite) == 2


def test_unnamed_parameters_have_readable_names() -> None:
    """Group, place and shape; equal names of two groups are told apart."""
    network = small_network()
    rates = RMSGD(network.parameters()).learning_rates()
    assert list(rates)[:2] == ["group0.param0[8x1x3x3]", "group0.param1[8]"]
    groups = [{"params": nn.Linear(2, 2).named_parameters()} for _ in range(2)]
    named = RMSGD(groups).learning_rates()
    assert list(named) == ["weight", "bias", "group1.weight", "group1.bias"]


# --- rates and schedulers ------------------------------------------------------------------------


def test_schedulers_multiply_against_hand() -> None:
    """A scheduler's factor multiplies the layer's rate and leaves the rule alone."""
    network, twin = small_network(), small_network()
    optimizer, plain = (RMSGD(n.named_parameters()) for n in (network, twin))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for n in (network, twin):
        with torch.no_grad():
            n[3].weight += torch.randn(12, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    for one in (optimizer, plain):
        one.epoch_step()
    network[3].weight.grad = torch.zeros_like(network[3].weight)
    optimizer.step()
    scheduler.step()
    expected = {name: rate / 2 for name, rate in plain.learning_rates().items()}
    assert optimizer.learning_rates() == pytest.approx(expected, rel=1e-15)
    assert expected["3.weight"] > 0.02
    before = network[3].weight.detach().clone()
    network[3].weight.grad = torch.ones_like(before)
    optimizer.param_groups[0].update(weight_decay=0.0, momentum=0.0)
    optimizer.step()
    torch.testing.assert_close(network[3].weight.detach(), before - expected["3.weight"])


@pytest.mark.parametrize(
    "make",
    [
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=6),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.03, total_steps=7),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=3),
    ],
    ids=["cosine", "one cycle", "warm-up"],
)
def test_resumes_with_a_scheduler_bit_for_bit(make: Callable[[RMSGD], Any]) -> None:
    """The first lr is kept in the group, so that the factor survives save and load."""

    def run(network: nn.Module, optimizer: RMSGD, scheduler: Any, epochs: range) -> None:
        for epoch in epochs:
            train(network, optimizer, range(epoch, epoch + 1))
            scheduler.step()

    whole, first, second = (small_network(seed=s) for s in (0, 0, 8))
    straight, stopped = (RMSGD(n.named_parameters()) for n in (whole, first))
    run(whole, straight, make(straight), range(6))
    plan = make(stopped)
    run(first, stopped, plan, range(3))
    second.load_state_dict(through_file(first.state_dict()))
    resumed = RMSGD(second.named_parameters())
    other = make(resumed)
    resumed.load_state_dict(through_file(stopped.state_dict()))
    other.load_state_dict(plan.state_dict())
    run(second, resumed, other, range(3, 6))
    assert_same(whole, second)
    assert resumed.learning_rates() == straight.learning_rates()


def test_measures_given_equal_measures_taken() -> None:
    """What the loop measured itself can be handed over, and what epoch_step measured comes back."""
    network, twin = small_network(), small_network()
    with torch.no_grad():
        for n in (network, twin):
            n[3].weight += torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None, None, None]
    optimizer, other = (RMSGD(n.named_parameters()) for n in (network, twin))
    found = optimizer.epoch_step()
    measures = measure_weights([layer.weight for layer in other.layers()])
    assert other.epoch_step(measures) is measures
    assert optimizer.learning_rates() == other.learning_rates()
    assert torch.equal(found.rank.nan_to_num(-1), measures.rank.nan_to_num(-1))
    with pytest.raises(GenpredictError, match=r"^measures: must be of the 3 layers .* got 2"):
        other.epoch_step(measures.part(0, 2))


def test_measures_all_layers_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batched call an epoch, whatever the number of layers and groups."""
    from genpredict.training.optimizers.rmsgd import optimizer as rmsgd

    calls = []

    def counting(weights: Any, **options: Any) -> Any:
        calls.append(len(weights))
        return measure_weights(weights, **options)

    monkeypatch.setattr(rmsgd, "measure_weights", counting)
    network = small_network()
    groups = [{"params": network[i].named_parameters(prefix=str(i))} for i in (0, 3, 7)]
    RMSGD(groups).epoch_step()
    assert calls == [3]


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, r"^lr: must be a finite number above 0, got 0.0$"),
        ({"lr": float("nan")}, r"^lr: .* got nan$"),
        ({"lr": torch.tensor(0.1)}, r"^lr: .* got tensor"),
        ({"lr": True}, r"^lr: .* got True$"),
        ({"beta": 1.0}, r"^beta: must lie in \[0, 1\), got 1.0$"),
        ({"beta": "0.9"}, r"^beta: .* got '0.9'$"),
        ({"zeta": -1}, r"^zeta: must be a finite number of at least 0, got -1$"),
        ({"zeta": float("inf")}, r"^zeta: .* got inf$"),
        ({"momentum": 1.0}, r"^momentum: must lie in \[0, 1\), got 1.0$"),
        ({"weight_decay": -1e-4}, r"^weight_decay: .* at least 0, got -0.0001$"),
        ({"nesterov": 1}, r"^nesterov: must be one of \(True, False\), got 1$"),
        ({"nesterov": True, "momentum": 0.0}, r"^nesterov: needs a momentum above 0, got True$"),
        ({"hold": None}, r"^hold: must be one of .* got None$"),
        ({"p": 3}, r"^p: must be one of \(1, 2\), got 3$"),
        ({"estimator": "exact"}, r"^estimator: must be one of .* got 'exact'$"),
        ({"variant": "theirs"}, r"^variant: must be one of .* got 'theirs'$"),
        ({"dtype": torch.float16}, r"^dtype: must be one of .* got torch.float16$"),
        ({"foreach": "yes"}, r"^foreach: must be one of .* got 'yes'$"),
        ({"linear": 0}, r"^linear: must be one of .* got 0$"),
    ],
    ids=str,
)
def test_nonsense_is_refused(options: dict[str, Any], message: str) -> None:
    """For the optimizer and for a group alike, by name, rule and value."""
    weight = nn.Parameter(torch.ones(3, 3))
    with pytest.raises(GenpredictError, match=message):
        RMSGD([weight], **options)
    with pytest.raises(GenpredictError, match=message):
        RMSGD([{"params": [weight], **options}])


def test_groups_share_how_they_measure() -> None:
    """All layers are measured in one call, so estimator and its kin are one for all."""
    groups = [{"params": [nn.Parameter(torch.ones(3, 3))], "estimator": "reference"}]
    with pytest.raises(GenpredictError, match=r"^estimator: must be the same in all groups"):
        RMSGD(groups)


def test_unfit_parameters_are_refused() -> None:
    """Integers, complex numbers, sets, sparse gradients."""
    whole = nn.Parameter(torch.ones(3, 3, dtype=torch.int64), requires_grad=False)
    with pytest.raises(GenpredictError, match=r"^mask: must be real floating-point, got torch.int"):
        RMSGD([("mask", whole)])
    with pytest.raises(GenpredictError, match=r"must be real floating-point, got torch.complex"):
        RMSGD([nn.Parameter(torch.ones(3, 3, dtype=torch.complex64))])
    with pytest.raises(GenpredictError, match=r"^params: must have an order, got a set"):
        RMSGD({nn.Parameter(torch.ones(3, 3))})
    with pytest.raises(GenpredictError, match=r"^params: must have an order, got a set"):
        RMSGD([{"params": {nn.Parameter(torch.ones(3, 3))}}])
    table = nn.Embedding(5, 3, sparse=True)
    optimizer = RMSGD(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(GenpredictError, match=r"sparse gradients are not supported"):
        optimizer.step()


def test_nothing_to_measure_is_refused() -> None:
    """Vectors alone have no stable rank; the error says what is needed."""
    optimizer = RMSGD([("bias", nn.Parameter(torch.ones(3)))])
    with pytest.raises(GenpredictError, match=r"^params: no layer to measure"):
        optimizer.epoch_step()


def test_diverged_weights_are_refused() -> None:
    """The layer is named and rates stay as they were."""
    network = small_network()
    optimizer = RMSGD(network.named_parameters())
    optimizer.epoch_step()
    before = optimizer.learning_rates()
    with torch.no_grad():
        network[3].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(GenpredictError, match=r"^3.weight: weights are NaN or infinite"):
        optimizer.epoch_step()
    assert optimizer.learning_rates() == before
