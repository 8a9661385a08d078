"""Machine code from the specification: events judged from columns, tens of times as fast.

There is one meaning, the interpreter's. Machine code judges an event only where it is sure to say
what the interpreter says: every value it hangs on is known, nothing is violated, nothing has to be
supposed. Everything else it hands over before it has written anything, and the interpreter judges
that event on the same state: `store.NativeStore` is its `Store`, with the cells in the memory
that machine code works on. So what is said of violations, of what is open, and of what follows, is
made in one place.

How it is made:

- Every expression is a number and a bit that says it is not sure (`emit.Val`). Bits are computed
  without jumps, in the interpreter's order of asking; a step looks at one bit, once. Reading what
  is unknown, one of several, outside the window, or drifting is not sure.
- Most calls succeed, and all of it was recorded, its memory alone. A function of its own judges
  these (`emit.Text.doubt`): as soon as anything is not so it leaves the row to the general one,
  which begins anew; so it has no errors to choose from and no bits to carry along.
- A quantifier over ports, and `choose lowest`, is a search in a loop (`search`), which remembers
  its last find for each domain until a cell below it changes: the lowest spare port is found at
  once. Ports that nobody has touched are alike, so one of them is enough.
- What is written is noted in a list first (`each`), for all reads come before, and only where it
  makes a difference; what most events do not change is passed over by its first conditions
  (`when`).
- Where a write ends a drift, or may, the interpreter does it, for it marks what has drifted.
- What was said is counted by outcome (`step.Told`), an outcome being some clauses at once.
- Of an event whose call was judged but whose `on` blocks or obligations were not, only the rest is
  the interpreter's (`Machine.feed(done=)`).

Only what a trace begins with is compiled, and what comes up often enough later: an operation takes
some tens of milliseconds, of which nothing is left when it was kept (`cache`).

The interpreter's alone, so far: words of shared memory that may have changed unseen, FIFO words,
memory that is pointed to, elements of arrays, hypercalls of several structures or with a status
field, updates `for all` domains, what operations that are not modelled may disturb, obligations
while one may be owed, calls at the same time, free choices (not of the lowest), and everything
after a value that is decided on was not seen. A result that was not seen is no such value where
only one was allowed.
"""
