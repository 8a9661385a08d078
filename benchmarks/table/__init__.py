"""One protocol, one trace, every checker that can be had: side by side in one run."""
