"""The hook of the site that adds a page with the network of the package."""

from pathlib import Path
from types import SimpleNamespace

from tools.site_page import on_page_markdown, on_post_build

DOCS = Path(__file__).parents[1] / 'docs'


def test_the_site_gets_a_page(tmp_path):
    on_post_build(config={'site_dir': str(tmp_path)})
    assert (tmp_path / 'digits.html').read_text(encoding='utf-8').startswith('<!DOCTYPE html>')


def test_the_site_has_a_link_to_it():
    page = SimpleNamespace(file=SimpleNamespace(src_uri='page.md'))
    text = on_page_markdown((DOCS / 'page.md').read_text(encoding='utf-8'), page)
    assert '<a href="../digits.html">' in text
