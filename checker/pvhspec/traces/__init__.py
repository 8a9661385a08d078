"""Traces of real hypervisors: the event schema, its readers and its writer."""
