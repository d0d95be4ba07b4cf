"""Learning from data: speed against other loops, and accuracy."""
