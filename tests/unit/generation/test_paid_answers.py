from __future__ import annotations

import pytest

from divscale.errors import PreflightError
from divscale.generation.endpoint.answers import Answers


def test_a_damaged_file_of_answers_is_one_paragraph_whenever_it_is_found(tmp_path):
    path = tmp_path / "answers.sqlite"
    answers = Answers(path)
    for i in range(300):
        answers.put(f"{i:064d}", {"completion": "x" * 100})
    assert answers.get(f"{7:064d}") == {"completion": "x" * 100}
    answers.close()
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xaa" * (len(content) - 8192))
    damaged = Answers(path)
    for use in (lambda: damaged.get(f"{150:064d}"), lambda: damaged.put("z", {})):
        with pytest.raises(PreflightError, match=r"the file of paid answers cannot be used .*malformed"):
            use()
    path.write_bytes(b"no database at all, but long enough to be looked at")
    with pytest.raises(PreflightError, match="not a database"):
        Answers(path)
