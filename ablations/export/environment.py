"""What an exported arm runs inside SkyRL: the strict scorers as an environment, and its start.

An export's run.sh calls ``python -m ablations.export.environment OPTION=VALUE...``; SkyRL's own
trainer does the rest.  SkyRL and this project's trainer need different versions of transformers, so
this module imports the scorers only.  Never run on a cluster.
"""

from __future__ import annotations

import sys
from typing import Any

from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from ablations.training.rewards import exported_reward


class StrictScorers(BaseTextEnv):  # type: ignore[misc]
    """One turn; the reward is `ablations.training.rewards`' for the row's ``extra_info``."""

    def __init__(self, env_config: Any = None, extras: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._row = (extras or {})["extra_info"]

    def step(self, action: str) -> Any:
        """Return the reward of an answer; the episode ends."""
        reward = exported_reward(self._row, action)
        return BaseTextEnvStepOutput(observations=[], reward=reward, done=True, metadata={})


def main() -> None:
    """Start SkyRL's trainer with the environment registered, as its documentation says."""
    import ray
    import skyrl_gym
    from skyrl.train.config import SkyRLTrainConfig
    from skyrl.train.entrypoints.main_base import BasePPOExp
    from skyrl.train.utils import validate_cfg
    from skyrl.train.utils.utils import initialize_ray

    from ablations.export import ENVIRONMENT

    @ray.remote(num_cpus=1)  # type: ignore[untyped-decorator]
    def entrypoint(config: Any) -> None:
        skyrl_gym.register(ENVIRONMENT, entry_point="ablations.export.environment:StrictScorers")
        BasePPOExp(config).run()

    config = SkyRLTrainConfig.from_cli_overrides(sys.argv[1:])
    validate_cfg(config)
    initialize_ray(config)
    ray.get(entrypoint.remote(config))


if __name__ == "__main__":
    main()
