"""Traces of real hypervisors: the event schema, its readers and its writer."""

from pvhspec.traces.event import Complete, Event, Guest, Header, Hypervisor, Origin, Place
from pvhspec.traces.formats import FORMATS, Trace, is_trace, open_trace
from pvhspec.traces.objects import ObjectTrace
from pvhspec.traces.writer import TraceWriter

__all__ = [
    "FORMATS",
    "Complete",
    "Event",
    "Guest",
    "Header",
    "Hypervisor",
    "ObjectTrace",
    "Origin",
    "Place",
    "Trace",
    "TraceWriter",
    "is_trace",
    "open_trace",
]
