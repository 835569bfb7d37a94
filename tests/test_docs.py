"""The documentation says what is so: its code runs, its links lead somewhere, every public name has an example."""

import re
import textwrap
from pathlib import Path

import matplotlib
import pytest

import sklearn_rnn

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
FIRST = DOCS / "index.rst"  # with the code of the README
PAGES = sorted({*DOCS.glob("*.rst"), *DOCS.glob("figures/*.rst")} - {FIRST})
FOREIGN = ("elsewhere", "optuna", "sklearn.callback")  # code for what need not be installed


def blocks_of_markdown(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def blocks_of_page(text):
    """The code of a page that is this package's own."""
    found = re.findall(r"^\.\. code-block:: python\n((?:(?: +.*)?\n)+)", text, flags=re.MULTILINE)
    blocks = [textwrap.dedent(block) for block in found]
    return [block for block in blocks if not any(word in block for word in FOREIGN)]


def links_of_markdown(text):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [target for target in targets if "://" not in target]


def run(blocks, monkeypatch, folder):
    """Run the blocks as one script."""
    monkeypatch.chdir(folder)
    exec(compile("\n".join(blocks), "documentation", "exec"), {"__name__": "documentation"})


@pytest.mark.parametrize("name", sklearn_rnn.__all__)
def test_every_public_name_has_an_example(name):
    assert ">>> " in getattr(sklearn_rnn, name).__doc__


def test_the_code_of_the_readme_runs(monkeypatch, tmp_path, capsys):
    blocks = blocks_of_markdown(README.read_text(encoding="utf-8"))
    assert blocks
    run(blocks, monkeypatch, tmp_path)
    assert float(capsys.readouterr().out.split()[-1]) > 0  # better than the naive forecast, as it prints at last


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, monkeypatch, tmp_path):
    run(blocks_of_page(page.read_text(encoding="utf-8")), monkeypatch, tmp_path)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files(name):
    links = links_of_markdown((ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_and_the_first_page_show_the_same_code():
    (readme,) = blocks_of_markdown(README.read_text(encoding="utf-8"))
    first, *_ = blocks_of_page(FIRST.read_text(encoding="utf-8"))
    assert first.strip() == readme.strip()


def test_a_page_has_the_code_that_is_in_it():
    ours = ".. code-block:: python\n\n    x = 1\n\n    y = 2\n\n"
    other = ".. code-block:: python\n    :class: elsewhere\n\n    z = 3\n\n"
    page = f"Text\n\n{ours}Text\n\n{other}Text\n"
    assert blocks_of_page(page) == ["\nx = 1\n\ny = 2\n\n"]
    assert links_of_markdown("[a](docs/a.rst) and [b](https://b.org), ![c](c.png)") == ["docs/a.rst", "c.png"]
