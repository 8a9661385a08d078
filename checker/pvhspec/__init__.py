"""The Xen PVH guest ABI as an executable specification, and a checker of traces."""

__all__ = ["__version__"]

__version__ = "0.1.0"
