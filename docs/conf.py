"""How sphinx builds these pages: `make docs`."""

from __future__ import annotations

import inspect
from pathlib import Path

from sphinx_gallery.sorting import ExplicitOrder

import sklearn_rnn

project = "sklearn_rnn"
author = "the sklearn_rnn developers"
release = version = sklearn_rnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
highlight_language = "none"  # of what is indented after "::"
default_role = "literal"  # `name` in a docstring is code

html_theme = "furo"
html_title = f"sklearn_rnn {release}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
pygments_style = "friendly"

autosummary_generate = False  # write_api_pages makes a page for each name
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_member_order = "bysource"
maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_ivar = False

# The examples in their order, and whether they run while the pages are built: those that need a few seconds and no data
# from elsewhere do.
GALLERY = {
    "first_forecast": True,
    "first_regression": True,
    "windows_and_folds": True,
    "grid_search": True,
    "panel_forecast": True,
    "looking_at_a_model": True,
    "saving_and_serving": True,
    "digits": True,
    "forecast": False,
    "adding_problem": False,
    "sentiment": False,
    "language_model": False,
    "motion": False,
    "spoken_digits": False,
    "distributed": False,
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "filename_pattern": rf"[\\/]({'|'.join(name for name, runs in GALLERY.items() if runs)})\.py$",
    "within_subsection_order": ExplicitOrder([*(f"{name}.py" for name in GALLERY), "*"]),
    "default_thumb_file": str(Path(__file__).parent / "images" / "prints.png"),
    "download_all_examples": False,
    "write_computation_times": False,
}


def write_api_pages(app) -> None:
    """A page for each public name, and a table of them, from `sklearn_rnn.__all__`."""
    folder = Path(app.srcdir, "api")
    folder.mkdir(exist_ok=True)
    pages = {name: api_page(name) for name in sklearn_rnn.__all__}
    for file in folder.glob("*.rst"):
        if file.stem not in {*pages, "index"}:
            file.unlink()
    rows = [f"   {name}" for name in pages]
    pages["index"] = "\n".join(
        [
            *("API", "===", "", ".. currentmodule:: sklearn_rnn", ""),
            *("Every class and function, from the docstrings that `help` shows, too.", ""),
            *(".. autosummary::", "   :nosignatures:", "", *rows, ""),
            *(".. toctree::", "   :hidden:", "", *rows, ""),
        ]
    )
    for name, text in pages.items():
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text(encoding="utf-8") != text:  # an unchanged page is not built again
            file.write_text(text, encoding="utf-8")


def api_page(name: str) -> str:
    is_class = inspect.isclass(getattr(sklearn_rnn, name))
    options = ["   :members:", "   :inherited-members:"] if is_class else []
    directive = f".. auto{'class' if is_class else 'function'}:: {name}"
    return "\n".join([name, "=" * len(name), "", ".. currentmodule:: sklearn_rnn", "", directive, *options, ""])


def skip_members_from_elsewhere(app, what, name, member, skip, options) -> bool | None:
    """scikit-learn documents what its base classes bring; attributes of a fit stand in the docstring of the class."""
    function = inspect.unwrap(getattr(member, "fget", None) or getattr(member, "__func__", member))
    module = getattr(function, "__module__", None) or ""
    is_of_fit = isinstance(member, property) and name.endswith("_")
    return None if module.split(".")[0] == "sklearn_rnn" and not is_of_fit else True


def setup(app) -> None:
    app.connect("builder-inited", write_api_pages, priority=100)
    app.connect("autodoc-skip-member", skip_members_from_elsewhere)
