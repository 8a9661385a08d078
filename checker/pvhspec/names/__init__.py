"""What every name in the specification stands for, and when it is there."""
