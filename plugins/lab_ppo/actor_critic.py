"""The networks of a policy and of its values. B rows, F features."""

import math

from torch import Tensor, nn

from .distributions import Distribution


class ActorCritic(nn.Module):
    """Heads for actions and values, on one body that both share or on a body for each."""

    def __init__(self, distribution: Distribution, bodies: list[nn.Module], features: int):
        super().__init__()
        self.distribution, self.bodies = distribution, nn.ModuleList(bodies)
        self.actor_head, self.critic_head = nn.Linear(features, distribution.outputs), nn.Linear(features, 1)
        orthogonal(self.bodies, math.sqrt(2))
        orthogonal(self.actor_head, 0.01)                    # at first all actions are about as likely
        orthogonal(self.critic_head, 1.0)

    def actor(self, obs: Tensor) -> Tensor:
        """What the distribution is made from, [B, outputs]."""
        outputs: Tensor = self.actor_head(self.bodies[0](obs))
        return outputs

    def critic(self, obs: Tensor) -> Tensor:
        """The values of states, [B, 1]."""
        value: Tensor = self.critic_head(self.bodies[-1](obs))
        return value

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        features = [body(obs) for body in self.bodies]                                          # of [B, F]
        return self.actor_head(features[0]), self.critic_head(features[-1])


def orthogonal(net: nn.Module, gain: float) -> None:
    """Orthogonal weights times `gain` and no biases, in every linear and convolutional layer (Saxe et al. 2014)."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.orthogonal_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
