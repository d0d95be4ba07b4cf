"""One job of a Hydra sweep."""

from omegaconf import DictConfig

from .errors import LabError

FAILED: list[int] = []            # exit codes of jobs of this process that failed


def job(node: DictConfig) -> float | None:
    """Train in the folder that Hydra made; returns the figure that matters, for sweepers that look for the best.

    A job that fails is told, its exit code kept in FAILED, and the others go on; it is worth nan.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from .compose import typed
    from .screen import complain
    from .train import sweep_job

    try:
        return sweep_job(typed(OmegaConf.to_container(node, resolve=True)), HydraConfig.get().runtime.output_dir)
    except LabError as error:
        FAILED.append(error.exit_code)
        complain(error)
        return float("nan")
