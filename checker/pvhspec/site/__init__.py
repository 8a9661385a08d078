"""The documentation as a site: pages made of the specification, and of texts that stand elsewhere.

`pages` makes Markdown of the specification, `hooks` gives it to mkdocs (mkdocs.yml).
"""
