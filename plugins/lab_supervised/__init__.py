"""Learning from examples: classification and regression."""
