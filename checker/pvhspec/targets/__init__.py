"""Real hypervisors: build the probe, boot them, bring the trace back."""
