"""A language model: embedding, one to three layers of LSTM, a word for each number."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Memory = tuple[Tensor, Tensor]


class LSTMLanguage(nn.Module):
    """Predict the next word.

    Parameters
    ----------
    num_words : int
        Words that there are.
    layers : int
        Of the LSTM.
    embedding : int
        Length of a word's vector.
    hidden : int
        Units a layer.
    dropout : float
        Share of the units of embedding, layers and output that are dropped in training.

    References
    ----------
    W. Zaremba, I. Sutskever, O. Vinyals, "Recurrent Neural Network Regularization",
    arXiv:1409.2329, 2014.
    """

    def __init__(
        self, num_words: int, *, layers: int, embedding: int, hidden: int, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_words, embedding)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(
            embedding, hidden, num_layers=layers, dropout=dropout if layers > 1 else 0.0
        )
        self.decoder = nn.Linear(hidden, num_words)
        with torch.no_grad():
            self.embedding.weight.uniform_(-0.1, 0.1)

    def forward(self, words: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:
        """Return logits of the word after each.

        Parameters
        ----------
        words : Tensor, shape (T, B), int64
            B texts side by side.
        memory : tuple of Tensor, each of shape (layers, B, hidden), optional
            What the words before left behind; zeros at the beginning of a text.

        Returns
        -------
        tuple of (Tensor, shape (T, B, num_words)) and memory
        """
        vectors = self.dropout(self.embedding(words))
        outputs, memory = self.lstm(vectors, memory)
        return self.decoder(self.dropout(outputs)), memory
