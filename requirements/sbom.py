"""A bill of materials of a lock in CycloneDX 1.6 JSON, from the installed packages' metadata, checked by its schema.

`python requirements/sbom.py cpu.txt sbom.json`, in an environment that has the packages of the lock and of audit.txt.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bill(lock: Path) -> dict:
    """The document: what is installed, without what the lock does not name."""
    named = {normal(line.partition("==")[0]): line.partition("==")[2] for line in lock.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")}
    found = json.loads(subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", "environment", "--output-format", "JSON", "--output-reproducible", "--spec-version", "1.6",
         "--pyproject", str(lock.parents[1] / "pyproject.toml"), sys.executable], capture_output=True, text=True, check=True).stdout)
    found["components"] = [part for part in found["components"] if named.get(normal(part["name"])) == part["version"]]
    missing = sorted(set(named) - {normal(part["name"]) for part in found["components"]})
    if missing:
        sys.exit(f"sbom: {', '.join(missing[:8])} of {lock.name} is not installed here in the locked version. Run make setup.")
    kept = {part["bom-ref"] for part in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    found["dependencies"] = [{**line, **({"dependsOn": [ref for ref in line["dependsOn"] if ref in kept]} if "dependsOn" in line else {})}
                             for line in found["dependencies"] if line["ref"] in kept]
    return found


def main() -> int:
    """Write the document; 1 where it does not fit its schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    document = json.dumps(bill(Path(__file__).parent / sys.argv[1]), indent=1)
    if (error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(document)) is not None:
        print(f"sbom: the document does not fit CycloneDX 1.6: {error}", file=sys.stderr)
        return 1
    Path(sys.argv[2]).write_text(document + "\n", encoding="utf-8")
    print(f"{sys.argv[2]}: {len(json.loads(document)['components'])} packages of {sys.argv[1]}, valid CycloneDX 1.6")
    return 0


if __name__ == "__main__":
    sys.exit(main())
