"""Specification text to syntax tree, and back."""
