"""The solver's side: what always holds, whether something can happen, where the text has holes.

The only package that knows Z3. Whatever is found here is checked again by the interpreter before
it is told to anybody.
"""
