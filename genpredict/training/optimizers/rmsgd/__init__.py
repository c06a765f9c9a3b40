"""RMSGD: stochastic gradient descent with a learning rate a layer, from its stable rank."""

from genpredict.training.optimizers.rmsgd.optimizer import RMSGD

__all__ = ["RMSGD"]
