"""What a page says to do, as it is read by ``python -m tests.packaging``."""

from __future__ import annotations

import pytest

from tests.packaging.__main__ import BUGS, HOWTO
from tests.packaging.pages import Run, longest_test, read, runs

PAGE = """\
# A page

```python
a = 1
```

```sh
python -m pytest test_a.py
```

```pycon
>>> a
1
```

```python
def test_b():
    assert a == 1
```
"""


def test_a_command_is_about_the_fences_above_it() -> None:
    assert Run(("python", "-m", "pytest", "test_a.py"), "test_a.py", "a = 1\n\n") == next(runs(PAGE))


def test_at_last_the_whole_page_is_a_script() -> None:
    assert Run(("python", "page.py"), "page.py", "a = 1\n\ndef test_b():\n    assert a == 1\n\n") == [*runs(PAGE)][-1]


def test_the_longest_test_counts() -> None:
    assert 2 == longest_test("def test_a(): ...\n\ndef test_b():\n    ...\n\ndef c():\n    ...\n    ...\n")


def test_a_file_without_tests_has_no_longest_test() -> None:
    assert 0 == longest_test("a = 1\n")


@pytest.mark.parametrize("page", BUGS)
def test_the_bug_of_a_page_can_be_planted(page: str) -> None:
    """`make kit` plants it and sees the page's tests fail; a page that changes takes its bug along."""
    assert [] == [run.file for run in read(HOWTO / page) if BUGS[page].old not in run.text]
