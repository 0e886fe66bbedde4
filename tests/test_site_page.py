"""The hook of the site that adds a page with the network of the package."""

from tools.site_page import on_post_build


def test_the_site_gets_a_page(tmp_path):
    on_post_build(config={'site_dir': str(tmp_path)})
    assert (tmp_path / 'digits.html').read_text(encoding='utf-8').startswith('<!DOCTYPE html>')
