"""Bit widths, exhaustiveness, effects: no situation is left unspecified."""
