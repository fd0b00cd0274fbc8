"""What the micro world shows and asks: scenes, traces, questions, prompts."""
