"""The site of these pages: ``pip install '.[docs]' && sphinx-build -W --keep-going -n docs site``."""

from importlib.metadata import version as version_of

from docutils import nodes
from sphinx.application import Sphinx

project = "Rumormill"
author = "The authors of Rumormill"
project_copyright = "the authors of Rumormill, Apache-2.0"
version = release = version_of("rumormill")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
html_title = "Rumormill"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

myst_heading_anchors = 4  # as on a forge, so that [text](page.md#heading) leads there in both
default_role = "literal"  # single backticks of docstrings are names

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of signatures, which are mostly other packages'
copybutton_exclude = ".linenos, .gp, .go"


def keep_figures_whole(app: Sphinx, doctree: nodes.document) -> None:
    """A figure and its spread stay on one line of a table, which can be scrolled."""
    for entry in doctree.findall(nodes.entry):
        for text in entry.findall(nodes.Text):
            if "±" in text:
                text.parent.replace(text, nodes.Text(text.replace(" ± ", "\u00a0±\u00a0").replace(" (", "\u00a0(")))


def setup(app: Sphinx) -> None:
    """What is done to pages on their way."""
    app.connect("doctree-read", keep_figures_whole)
