"""augserve for PyTorch: results as tensors, and batches for training. Nothing else in the client imports torch."""

from __future__ import annotations

from augserve.torch.augmenter import Augmenter, Batch
from augserve.torch.fallback import InProcess
from augserve.torch.loader import AugmentedLoader
from augserve.torch.order import Shard, sample_seeds
from augserve.torch.tensors import Device, Tensor, finish_tensor, stack, to_tensor
from augserve.torch.ticket_loader import TicketLoader
from augserve.torch.tickets import Pairs, Ticket, Tickets, hand_over

__all__ = [
    "AugmentedLoader",
    "Augmenter",
    "Batch",
    "Device",
    "InProcess",
    "Pairs",
    "Shard",
    "Tensor",
    "Ticket",
    "TicketLoader",
    "Tickets",
    "finish_tensor",
    "hand_over",
    "sample_seeds",
    "stack",
    "to_tensor",
]
