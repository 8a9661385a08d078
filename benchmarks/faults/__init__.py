"""How well faults in a hypervisor are found: small ones, put into real Xen images.

`python -m benchmarks.faults --help`. A fault is one instruction of a function that implements a
modelled operation: a return code changed, a branch turned round, a bound off by one, a value that
is stored changed. Nothing of Xen is kept here: the image and its symbols are fetched from Debian.
"""
