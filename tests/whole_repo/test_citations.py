"""Every citation of the specification has been looked up, and what was found is on record."""

from __future__ import annotations

from pvhspec import _data
from pvhspec.citations import RECORD, check_record, citations, dumped


def test_every_citation_is_on_record() -> None:
    errors = check_record(citations(_data.spec_dir()), _data.spec_dir() / RECORD)
    found = "\n".join(e.render() for e in errors)
    assert not errors, f"pvhspec cite --sources CLONE-OF-XEN looks them up:\n{found}"


def test_the_record_is_written_in_one_way() -> None:
    import json

    text = (_data.spec_dir() / RECORD).read_text()
    assert text == dumped(json.loads(text))
