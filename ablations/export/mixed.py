"""What an exported arm of software tasks runs inside the authors' SkyRL: both kinds of rows.

An export's run.sh calls ``python -m ablations.export.mixed OPTION=VALUE...`` in a checkout of
github.com/sijial430/ContextAwareRL, ``Training/SkyRL``.  Their trainer does all of it, but that a
row without an ``instance`` is a single turn of our environment.  Never run on a cluster.
"""

from __future__ import annotations

import sys
from typing import Any

from examples.train.mini_swe_agent.mini_swe_generator import MiniSweAgentGenerator

from ablations.export import ENVIRONMENT


class MixedGenerator(MiniSweAgentGenerator):  # type: ignore[misc]
    """Software tasks are played by their agent, other rows are a turn of SkyRL's own generator."""

    async def minisweagent_agent_loop(
        self, prompt: Any, env_extras: dict[str, Any], **rest: Any
    ) -> tuple[Any, ...]:
        """Return tokens, reward, stop reason, loss mask, prompt tokens, no log-probabilities.

        The limit on an agent's context does not hold for a single turn: its prompt is at most
        ``trainer.max_prompt_length`` long.
        """
        if env_extras.get("instance"):
            return await super().minisweagent_agent_loop(prompt, env_extras, **rest)  # type: ignore[no-any-return]
        known = {name: rest[name] for name in ("max_tokens", "sampling_params", "trajectory_id")}
        made = await self.agent_loop(
            prompt, ENVIRONMENT, env_extras, max_input_length=sys.maxsize, **known
        )
        # SkyRL puts a reward at its token; an agent's episode has one number.
        reward = sum(made.reward) if isinstance(made.reward, list) else made.reward
        return made.response_ids, reward, made.stop_reason, made.loss_mask, made.prompt_ids, None


def main() -> None:
    """Start the authors' trainer with this generator and our environment."""
    import ray
    import skyrl_gym
    from examples.train.mini_swe_agent.main_mini_swe_ct import CTSkyRLTrainConfig, MiniSWECTPPOExp
    from skyrl.train.config import SkyRLGymConfig
    from skyrl.train.entrypoints.main_base import validate_cfg
    from skyrl.train.utils import initialize_ray

    class Experiment(MiniSWECTPPOExp):  # type: ignore[misc]
        def get_generator(self, cfg: Any, tokenizer: Any, inference_engine_client: Any) -> Any:
            served = cfg.generator.inference_engine.served_model_name
            name = served or cfg.trainer.policy.model.path
            gym = SkyRLGymConfig(max_env_workers=0)
            return MixedGenerator(cfg.generator, gym, inference_engine_client, tokenizer, name)

    @ray.remote(num_cpus=1)  # type: ignore[untyped-decorator]
    def entrypoint(config: Any) -> None:
        skyrl_gym.register(ENVIRONMENT, entry_point="ablations.export.environment:StrictScorers")
        Experiment(config).run()

    config = CTSkyRLTrainConfig.from_cli_overrides(sys.argv[1:])
    validate_cfg(config)
    initialize_ray(config)
    ray.get(entrypoint.remote(config))


if __name__ == "__main__":
    main()
