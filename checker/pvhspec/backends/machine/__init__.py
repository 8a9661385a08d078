"""The specification as a generator: calls with arguments that matter, and Hypothesis machines."""
