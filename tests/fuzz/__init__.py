"""Damaged input for everything that reads a file: `python -m tests.fuzz --runs 10000 --seed 1`."""
