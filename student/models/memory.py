"""Memory: an LSTM that forgets where an episode begins."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Memory(nn.Module):
    """``nn.LSTM``; its state is the output and the cell side by side, (B, 2 * hidden)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.lstm = nn.LSTM(hidden, hidden)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight"):
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)
        # Remember at first: an open forget gate (Jozefowicz et al. 2015).
        nn.init.ones_(self.lstm.get_parameter("bias_ih_l0").data[hidden : 2 * hidden])

    def step(self, x: Tensor, state: Tensor, episode_start: Tensor) -> tuple[Tensor, Tensor]:
        """One step: (B, hidden), the state and (B,) bool to the output and the new state."""
        h, c = torch.split(state * ~episode_start.unsqueeze(1), self.hidden, dim=1)
        h, c = torch.lstm_cell(x, (h, c), *self.lstm.all_weights[0])
        return h, torch.cat([h, c], dim=1)

    def forward(self, x: Tensor, state: Tensor, episode_start: Tensor) -> Tensor:
        """T steps at once: (T, B, hidden), the state before them and (T, B) bool.

        Each sequence is cut where an episode begins, and all pieces run side by side.
        """
        first = episode_start.t().clone()  # (B, T): pieces are numbered one sequence after another
        first[:, 0] = True
        piece = first.flatten().cumsum(0).view_as(first).t() - 1  # (T, B)
        now = torch.arange(len(x), device=x.device)
        place = now.unsqueeze(1) - now[first.nonzero()[:, 1]][piece]  # (T, B), within the piece
        lengths = piece.flatten().bincount()
        pieces = x.new_zeros(int(lengths.max()), len(lengths), self.hidden)
        pieces = pieces.index_put((place, piece), x)
        before = x.new_zeros(len(lengths), 2 * self.hidden)
        before[piece[0]] = state * ~episode_start[0].unsqueeze(1)
        h, c = torch.split(before.unsqueeze(0), self.hidden, dim=2)
        packed = pack_padded_sequence(pieces, lengths.cpu(), enforce_sorted=False)
        output, _ = self.lstm(packed, (h.contiguous(), c.contiguous()))
        return pad_packed_sequence(output)[0][place, piece]
