"""Train the bundled zoo: 32 small CNNs on scikit-learn's digits, each in its own way.

The weights in data/digits-zoo were made by

    python analysis/train_digits_zoo.py data/digits-zoo

in about a minute on one core: one safetensors file a network, manifest.csv, README.md. On one
machine and one version of torch a rerun gives the same bytes.

The question the zoo is made for: does a number read off the weights follow test accuracy or
generalization gap *across ways of training*? So `RUNS` is a Latin hypercube. Each level of each
knob occurs equally often (label noise: half of the runs have none, an eighth each 0.1, 0.2, 0.4
and 0.6; learning rate: 0.2, 0.5, 1 and 3 times a usual one of the optimizer), and any two knobs
have a rank correlation below 0.05 (uncorrelated, not independent: the bounds that follow leave
the shortest runs to label noise 0 and 0.1). Every run takes at least 40 steps, at least 4
epochs with label noise 0.2, and at least 15 with more: a network that has learned the digits
but not yet the wrong labels has a gap of about minus the label noise, and a few of those would
drown all else. Levels and bounds were set so that the targets spread widely; runs were assigned
to them by the knobs alone; measures of the weights played no part in either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cyclopts
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn, optim

from genpredict.datasets import ImageSplit, load_digits
from genpredict.networks import build_network

NETWORK = "digits_cnn"
SPLIT_SEED = 0  # one test set for all runs

# Label in file names → class and fixed hyperparameters; everything else is torch's default.
OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "sgd": optim.SGD,
    "sgdm": partial(optim.SGD, momentum=0.9),
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "nadam": optim.NAdam,
    "adamax": optim.Adamax,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
}
MOMENTUM = {"sgd": 0.0, "sgdm": 0.9}  # the others have none in this sense: empty in the manifest


@dataclass(frozen=True)
class Run:
    """How one network is trained.

    Attributes
    ----------
    optimizer : str
        Label in `OPTIMIZERS`.
    learning_rate : float
        Constant over the run.
    weight_decay : float
        As the optimizer defines it: added to the gradient, decoupled in adamw.
    label_noise : float
        Share of training labels replaced by a wrong one.
    num_train : int
        Number of training images.
    batch_size : int
        Images a step.
    epoch : int
        Number of passes over the training images.
    seed : int
        Seed of initial weights, label noise and order of images.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    label_noise: float
    num_train: int
    batch_size: int
    epoch: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the weights file, without suffix: every knob in readable form."""
        return (
            f"{self.optimizer}_lr{self.learning_rate:g}_wd{self.weight_decay:g}"
            f"_noise{self.label_noise:g}_n{self.num_train}_b{self.batch_size}"
            f"_e{self.epoch}_s{self.seed}"
        )


# fmt: off
RUNS = (
    # optimizer, learning rate, weight decay, label noise, images, batch, epochs, seed
    Run("sgd", 0.05, 0, 0, 1200, 32, 40, 1),
    Run("sgd", 0.1, 0.001, 0, 80, 32, 25, 2),
    Run("sgd", 0.3, 0.01, 0.1, 500, 8, 1, 3),
    Run("sgd", 0.02, 0.0001, 0.6, 200, 8, 15, 4),
    Run("sgdm", 0.004, 0.01, 0, 200, 32, 8, 5),
    Run("sgdm", 0.02, 0.001, 0, 200, 8, 2, 6),
    Run("sgdm", 0.06, 0, 0.2, 500, 32, 8, 7),
    Run("sgdm", 0.02, 0.0001, 0.4, 500, 8, 40, 8),
    Run("adam", 0.003, 0.001, 0, 1200, 32, 2, 9),
    Run("adam", 0.0006, 0.0001, 0, 500, 8, 60, 10),
    Run("adam", 0.0015, 0.0001, 0.2, 80, 8, 4, 11),
    Run("adam", 0.009, 0.01, 0.4, 200, 32, 15, 12),
    Run("adamw", 0.0015, 0.01, 0, 200, 8, 60, 13),
    Run("adamw", 0.0015, 0.0001, 0, 1200, 32, 2, 14),
    Run("adamw", 0.0015, 0.001, 0.1, 500, 8, 1, 15),
    Run("adamw", 0.009, 0, 0.4, 80, 32, 25, 16),
    Run("nadam", 0.009, 0, 0, 80, 8, 4, 17),
    Run("nadam", 0.009, 0.01, 0, 1200, 8, 60, 18),
    Run("nadam", 0.0006, 0.0001, 0.2, 500, 32, 4, 19),
    Run("nadam", 0.0006, 0.001, 0.6, 200, 32, 15, 20),
    Run("adamax", 0.003, 0.01, 0, 80, 8, 4, 21),
    Run("adamax", 0.006, 0.001, 0, 80, 32, 40, 22),
    Run("adamax", 0.0012, 0, 0.1, 500, 8, 1, 23),
    Run("adamax", 0.018, 0.0001, 0.4, 1200, 32, 25, 24),
    Run("rmsprop", 0.0005, 0, 0, 80, 32, 25, 25),
    Run("rmsprop", 0.003, 0, 0, 500, 8, 1, 26),
    Run("rmsprop", 0.0002, 0.01, 0.2, 200, 32, 8, 27),
    Run("rmsprop", 0.001, 0.01, 0.6, 1200, 8, 40, 28),
    Run("adagrad", 0.01, 0.001, 0, 200, 32, 8, 29),
    Run("adagrad", 0.002, 0, 0, 1200, 8, 60, 30),
    Run("adagrad", 0.005, 0.001, 0.1, 1200, 32, 2, 31),
    Run("adagrad", 0.01, 0.0001, 0.6, 80, 8, 15, 32),
)
# fmt: on


def load_split(run: Run) -> ImageSplit:
    """Load the images of a run, with its noisy training labels."""
    rng = torch.Generator().manual_seed(run.seed)
    return load_digits(
        num_train=run.num_train, seed=SPLIT_SEED, label_noise=run.label_noise, generator=rng
    )


def train(run: Run, split: ImageSplit) -> nn.Module:
    """Train a network: cross entropy, constant learning rate, no augmentation."""
    torch.manual_seed(run.seed)
    network = build_network(NETWORK, num_classes=split.num_classes)
    optimizer = OPTIMIZERS[run.optimizer](
        network.parameters(), lr=run.learning_rate, weight_decay=run.weight_decay
    )
    network.train()
    for _ in range(run.epoch):
        for batch in torch.randperm(run.num_train).split(run.batch_size):
            optimizer.zero_grad()
            logits = network(split.train_images[batch])
            nn.functional.cross_entropy(logits, split.train_labels[batch]).backward()
            optimizer.step()
    return network


@torch.no_grad()
def evaluate(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return accuracy (%) and mean cross entropy (nat) over all images, in eval mode."""
    network.eval()
    logits = network(images)
    accuracy = 100 * (logits.argmax(1) == labels).double().mean().item()
    return accuracy, nn.functional.cross_entropy(logits, labels).item()


def manifest_row(run: Run, network: nn.Module, split: ImageSplit) -> dict[str, object]:
    """Describe a trained network: file, knobs, accuracies (%) and losses (nat).

    Train figures are on the labels trained on, noisy where they are; test labels are true.
    """
    train_accuracy, train_loss = evaluate(network, split.train_images, split.train_labels)
    test_accuracy, test_loss = evaluate(network, split.test_images, split.test_labels)
    knobs = asdict(run) | {"optimizer": "sgd" if run.optimizer == "sgdm" else run.optimizer}
    return {
        "path": f"{run.name}.safetensors",
        "network": NETWORK,
        "dataset": "digits",
        **knobs,
        "momentum": MOMENTUM.get(run.optimizer),
        "train_accuracy": round(train_accuracy, 3),
        "test_accuracy": round(test_accuracy, 3),
        "train_loss": round(train_loss, 5),
        "test_loss": round(test_loss, 5),
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


def train_zoo(runs: tuple[Run, ...], folder: Path) -> pd.DataFrame:
    """Train every run; write its weights and, at the end, manifest.csv; return the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for run in runs:
        split = load_split(run)
        network = train(run, split)
        save_file(network.state_dict(), folder / f"{run.name}.safetensors")
        rows.append(manifest_row(run, network, split))
        print(
            f"{run.name}: train {rows[-1]['train_accuracy']} %, test {rows[-1]['test_accuracy']} %"
        )
    manifest = pd.DataFrame(rows)
    manifest.to_csv(folder / "manifest.csv", index=False)
    return manifest


README = """# Digits zoo

{count} small convolutional networks (`genpredict.networks.DigitsCNN`, {parameters:,} parameters:
four convolutions with batch norm, one linear head) trained on the 8 × 8 images of scikit-learn's
digits, each in its own way. Made by

    python analysis/train_digits_zoo.py data/digits-zoo

in about a minute on one core (torch {torch}). That script holds the list of runs and says how
it was drawn up: a Latin hypercube over optimizer, learning rate, weight decay, label noise,
number of training images, batch size and epochs, with next to no correlation between them.

- `*.safetensors`: one state dict a network, float32.
- `manifest.csv`: one row a network: file, knobs, accuracies, losses.

Split: {num_test} of the 1,797 images are held out, the same for all networks; training images are a
stratified subset of the others (`genpredict.datasets.load_digits`, seed 0). `label_noise` is the
share of training labels replaced by a wrong one. Learning rates are constant; no augmentation.
`momentum` is empty where the optimizer has none in the sense of SGD.

Accuracies are in percent, losses are mean cross entropies in nats, both in eval mode over all
images: train on the labels the network was trained on (noisy where they are noisy), test on the
true labels of the held-out images. So a network that has learned the digits but not the wrong
labels has a negative gap.

Label noise and number of training images move the targets by themselves: look at noise-free
networks alone too, or hold both fixed, before crediting a measure of the weights.

## Spread

{spread}

## Spearman's ρ of knobs and targets

{correlations}

## Data

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (CC BY 4.0), as it comes with scikit-learn. The folder holds no images.
"""
KNOBS = ["learning_rate", "weight_decay", "label_noise", "num_train", "batch_size", "epoch"]
TARGETS = ["train_accuracy", "test_accuracy", "generalization_gap"]


def markdown(table: pd.DataFrame, *, digits: int) -> str:
    """Lay a table of numbers out in Markdown."""
    lines = [["", *table.columns], ["---"] + ["---:"] * table.shape[1]]
    lines += [
        [str(name), *(f"{value:z.{digits}f}" for value in row)]
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def spread_table(manifest: pd.DataFrame) -> pd.DataFrame:
    """Tabulate extremes and quartiles of the targets (%), for all networks and noise-free ones."""
    parts = {"": manifest, ", noise-free": manifest[manifest["label_noise"] == 0]}
    columns = {"least": 0.0, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "greatest": 1.0}
    rows = {
        target + label: [float(part[target].quantile(share)) for share in columns.values()]
        for label, part in parts.items()
        for target in TARGETS
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns))


def write_readme(manifest: pd.DataFrame, folder: Path) -> None:
    """Describe the zoo in README.md: what, how, spread of the targets."""
    table = manifest.assign(
        generalization_gap=manifest["train_accuracy"] - manifest["test_accuracy"]
    )
    correlations = table[KNOBS + TARGETS].corr("spearman").loc[KNOBS, TARGETS]
    text = README.format(
        count=len(table),
        parameters=table["num_parameters"].iloc[0],
        torch=torch.__version__.split("+")[0],
        num_test=len(load_split(RUNS[0]).test_labels),
        spread=markdown(spread_table(table), digits=1),
        correlations=markdown(correlations, digits=2),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def main(folder: Path) -> None:
    """Train the zoo; weights, manifest.csv and README.md go into FOLDER."""
    torch.set_num_threads(1)  # sums in one order: the same bytes on every run
    torch.use_deterministic_algorithms(True)
    write_readme(train_zoo(RUNS, folder), folder)


if __name__ == "__main__":
    cyclopts.run(main)
