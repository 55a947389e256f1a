"""What a transform becomes for TorchScript and for export: a module of plain torch operations."""

from torch import Tensor, nn

from augserve_pipelines.scripting.draws import fires

__all__ = ["Form", "Nothing", "Sometimes", "Steps"]


class Form(nn.Module):
    """A transform of one tensor ``[..., C, H, W]``, written so that TorchScript and ``torch.export`` take it.

    It draws what the transform draws, from torch's global generator, and gives the same bytes.
    """

    def settled(self) -> nn.Module | None:
        """The form without draws, where they cannot change the result; None where they can."""
        return self


class Nothing(Form):
    """Leave the image as it is."""

    def forward(self, image: Tensor) -> Tensor:
        return image


class Steps(Form):
    """Run forms in order."""

    def __init__(self, steps: list[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, image: Tensor) -> Tensor:
        for step in self.steps:
            image = step(image)
        return image

    def settled(self) -> nn.Module | None:
        settled = [step.settled() if isinstance(step, Form) else step for step in self.steps]
        steps = [step for step in settled if step is not None]
        return Steps(steps) if len(steps) == len(settled) else None


class Sometimes(Form):
    """Run a form with probability ``p``."""

    def __init__(self, form: nn.Module, p: float) -> None:
        super().__init__()
        self.form = form
        self.p = float(p)

    def forward(self, image: Tensor) -> Tensor:
        if fires(self.p):
            image = self.form(image)
        return image

    def settled(self) -> nn.Module | None:
        if self.p == 0:
            return Nothing()
        if self.p < 1:
            return None
        return self.form.settled() if isinstance(self.form, Form) else self.form
