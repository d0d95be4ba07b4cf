"""Stable-Baselines3 with the hyperparameters that rl-zoo3 2.9.2 publishes (hyperparams/dqn.yml and qrdqn.yml)."""

from typing import Any

NET = {"net_arch": [256, 256]}
DQN: dict[str, dict[str, Any]] = {
    "CartPole": {
        "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1_000, "gamma": 0.99,
        "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04},
    "Acrobot": {
        "learning_rate": 6.3e-4, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0, "gamma": 0.99,
        "target_update_interval": 250, "train_freq": 4, "gradient_steps": -1, "exploration_fraction": 0.12,
        "exploration_final_eps": 0.1},
    "MountainCar": {
        "learning_rate": 4e-3, "batch_size": 128, "buffer_size": 10_000, "learning_starts": 1_000, "gamma": 0.98,
        "target_update_interval": 600, "train_freq": 16, "gradient_steps": 8, "exploration_fraction": 0.2,
        "exploration_final_eps": 0.07},
    "LunarLander": {
        "learning_rate": 6.3e-4, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0, "gamma": 0.99,
        "target_update_interval": 250, "train_freq": 4, "gradient_steps": -1, "exploration_fraction": 0.12,
        "exploration_final_eps": 0.1}}
QUANTILES = {"CartPole": 10, "Acrobot": 25, "MountainCar": 25, "LunarLander": 170}
QRDQN = {env: dict(row) for env, row in DQN.items()}
QRDQN["LunarLander"] |= {"target_update_interval": 1, "learning_rate": lambda left: 1.5e-3 * left}
IDS = {"CartPole": "CartPole-v1", "Acrobot": "Acrobot-v1", "MountainCar": "MountainCar-v0",
       "LunarLander": "LunarLander-v3"}
STEPS = {"CartPole": 50_000, "Acrobot": 100_000, "MountainCar": 120_000, "LunarLander": 100_000}
SIDES = ("sb3_dqn", "sb3_qrdqn")


def model(side: str, env: str, seed: int) -> Any:
    """A model that has not learned yet, on the CPU."""
    if side == "sb3_dqn":
        from stable_baselines3 import DQN as Algorithm

        return Algorithm("MlpPolicy", IDS[env], policy_kwargs=dict(NET), seed=seed, device="cpu", **DQN[env])
    from sb3_contrib import QRDQN as Quantile

    kwargs = {**NET, "n_quantiles": QUANTILES[env]}
    return Quantile("MlpPolicy", IDS[env], policy_kwargs=kwargs, seed=seed, device="cpu", **QRDQN[env])
