"""One optimizer step: prompts, losses, gradients and log."""
