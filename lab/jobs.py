"""One job of a Hydra sweep."""

from omegaconf import DictConfig


def job(node: DictConfig) -> float | None:
    """Train in the folder that Hydra made; returns the figure that matters, for sweepers that look for the best."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from .compose import typed
    from .train import sweep_job

    return sweep_job(typed(OmegaConf.to_container(node, resolve=True)), HydraConfig.get().runtime.output_dir)
