"""What differs between two readings of the ABI: two releases, two modes, two revisions of the text.

`clauses` compares the intermediate representation, clause by clause; `twins` looks for the shortest
program that tells the two apart; `compare` puts both together, and `tell` says it.
"""
