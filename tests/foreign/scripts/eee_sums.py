"""Records of Every Eval Ever, made by its own converter of the logs of `inspect_sums`."""

import subprocess
import sys
from pathlib import Path

SUMS = Path(__file__).with_name("inspect_sums.py")


def main() -> None:
    _, _, model, seed = sys.argv
    log = Path(f"log-{model}-{seed}")
    subprocess.run(
        ["inspect", "eval", f"{SUMS}@arith", "--model", f"openai-api/local/{model}", "--seed", seed,
         "--temperature", "0.7", "--epochs", "2", "--display", "none", "--log-dir", log],
        check=True,
    )  # fmt: skip
    (path,) = log.glob("*.eval")
    subprocess.run(
        ["every_eval_ever", "convert", "inspect", "--log_path", path, "--output_dir", "records",
         "--source_organization_name", "micro"],
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
