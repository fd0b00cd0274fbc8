"""What happens in an optimizer step: its prompts, losses, gradients and log."""
