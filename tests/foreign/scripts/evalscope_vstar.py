"""V* for EvalScope: its own benchmark, with its own prompt, on a local table of few items."""

import sys

from evalscope import TaskConfig, run_task


def main() -> None:
    _, url, model, data = sys.argv
    run_task(
        TaskConfig(
            model=model,
            api_url=url,
            api_key="x",
            eval_type="openai_api",
            datasets=["vstar_bench"],
            dataset_args={"vstar_bench": {"local_path": data}},
            generation_config={"temperature": 0.0, "max_tokens": 64},
            work_dir=f"work/{model}",
            no_timestamp=True,
        )
    )


if __name__ == "__main__":
    main()
