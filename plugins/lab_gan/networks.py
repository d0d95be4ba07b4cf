"""The two networks, with what an agent adds to a model. B examples, Z latent numbers, K classes, F features."""

from torch import Tensor, cat, nn, tanh
from torch.nn.functional import one_hot

from lab.data.scaled import Scaled
from lab.nn import Rivals

from .rivals import bounded


class Generator(nn.Module):
    """Codes [B, Z], and labels [B] where there are K classes -> examples [B, *shape]; pictures from -1 to 1."""

    def __init__(self, rivals: Rivals, latent: int, classes: int, scaled: Scaled):
        super().__init__()
        self.body, self.latent, self.classes = rivals.generator, latent, classes
        self.scaled = scaled

    def forward(self, z: Tensor, label: Tensor | None) -> Tensor:
        if label is not None:
            z = cat([z, one_hot(label, self.classes).to(z.dtype)], -1)
        out: Tensor = self.body(z)
        return tanh(out) if self.scaled.front is None else out


class Critic(nn.Module):
    """Examples [B, *shape] -> how real each seems, [B]; of its class, where there are K (Miyato & Koyama 2018)."""

    def __init__(self, rivals: Rivals, classes: int, norm: str):
        super().__init__()
        self.body, self.last = rivals.critic, bounded(norm, nn.Linear(rivals.width, 1))
        self.of_class = bounded(norm, nn.Embedding(classes, rivals.width)) if classes else None

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        features = self.body(x)                               # [B, F]
        out: Tensor = self.last(features)[:, 0]
        if self.of_class is None or label is None:
            return out
        of_class: Tensor = (self.of_class(label) * features).sum(-1)
        return out + of_class
