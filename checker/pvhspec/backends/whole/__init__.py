"""Whole traces: whether what was not seen can be filled in so that all of a trace conforms.

The interpreter judges event by event and joins the ways things may have gone, so it forgets which
unknown values go together. Here the same steps are gone through with one choice at a time.
`record` is the interpreter's own pass, which says where choices matter; `search` looks for an
execution and, where there is none, knows why; `core` finds the few events that are at odds.
"""
