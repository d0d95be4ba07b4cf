"""An autoencoder whose code is a grid of vectors out of a book (van den Oord et al. 2017). B examples, P places."""

from torch import Tensor

from lab.contract import Batch, Metrics
from lab.warned import Warns

from .codebook import perplexity
from .learners import Draws, Reconstructor
from .network import Quantized
from .plugin import VQVAE

COLLAPSED = 0.02                  # share of the vectors: with fewer in use the book is as good as empty
USED = 0.01                       # of its even share, from which on a vector counts as in use


class Vectors(Warns, Reconstructor):
    """Steps down -log p(x | code) and the distance to the nearest vectors, which follow (equation 3 and appendix A.1).

    The gradient passes from the vectors to what they stand for as if they were equal.
    """

    net: Quantized
    cfg: VQVAE
    saved = (*Reconstructor.saved, "warned")

    def update(self, batch: Batch) -> Metrics:
        found = dict(super().update(batch))
        code, chosen = found.pop("code").flatten(0, 1), found.pop("chosen").flatten()
        self.net.book.follow(code, chosen, self.cfg.decay, self.cfg.revive, self.rng)
        return found

    def logged(self, count: int) -> dict[str, float]:
        self.warn()
        chosen = self.net.book.chosen
        used = float((chosen > USED * chosen.mean()).sum())
        return {**super().logged(count), "codebook/used": used, "codebook/perplexity": float(perplexity(chosen))}

    def warning(self) -> str:
        """That the book has collapsed, where it has; else empty."""
        size, alike = len(self.net.book.chosen), float(perplexity(self.net.book.chosen))
        if not alike < max(COLLAPSED * size, 1.5):            # before the first update it is no number
            return ""
        return (f"the codebook has collapsed: of {size:,} vectors as many are in use as if there were {alike:.1f} "
                "(codebook/perplexity): the codes are much alike; a smaller optimizer.lr, a larger agent.latent or "
                "fewer agent.codes may help")

    def loss(self, x: Tensor, label: Tensor | None, draws: Draws, weight: Tensor) -> tuple[Tensor, Metrics]:
        """Besides, the code as it was before [B, P, width], and what was chosen for it [B, P]."""
        terms = self.terms(x, label, draws)
        nats, away = terms["reconstruction"].mean(), terms["commitment"].mean()
        told = {"loss/reconstruction": nats.detach(), "loss/commitment": away.detach(),
                "code": terms["raw"].detach(), "chosen": terms["chosen"]}
        return nats + self.cfg.commitment * away, told

    def terms(self, x: Tensor, label: Tensor | None, draws: Draws) -> dict[str, Tensor]:
        """Besides, the squared distance of the code from its vectors [B]."""
        target = self.target(x, draws.pixels)
        with self.compute.autocast():
            raw = self.net.encode(self.target.seen(target), label)
        raw = raw.float()                                     # [B, P, width]
        code, chosen = self.net.quantized(raw.detach())
        away = (raw - code).square().flatten(1).sum(-1)
        with self.compute.autocast():
            said = self.net.decode(raw + (code - raw).detach(), label)
        said = said.float()                                   # [B, P, *shape]
        return {"reconstruction": self.net.likelihood.nats(said, target), "code": code, "commitment": away, "raw": raw,
                "chosen": chosen, "seen": target, "target": target, "said": said}
