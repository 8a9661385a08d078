"""Traces as columns, whatever they are written in; JSON Lines by compiled code."""

from pvhspec.scan.source import ColumnSource, open_columns

__all__ = ["ColumnSource", "open_columns"]
