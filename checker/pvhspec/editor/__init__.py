"""What an editor asks of a specification: `pvhspec lsp`.

`project` holds the text as it is being written, `occurrences` says what every name in it stands
for, `answers` makes of that what is shown, and `server` speaks the language server protocol.
"""
