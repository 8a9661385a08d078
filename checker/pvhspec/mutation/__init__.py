"""Mistakes put into the specification on purpose: which would its examples, proofs and traces see?

The text's tree is changed, not the IR: a predicate is one place, as it is for an author, and the
checker's own errors can have their say.
"""
