"""Transforms for TorchScript, ``torch.export`` and ``torch.compile``: modules of plain torch operations.

A transform's *form* draws what the transform draws, from torch's global generator, and gives the same bytes of one
tensor ``[..., C, H, W]``.
"""

from augserve_pipelines.scripting.compiled import compiled
from augserve_pipelines.scripting.table import SCRIPTABLE, form_of, scriptable

__all__ = ["SCRIPTABLE", "compiled", "form_of", "scriptable"]
