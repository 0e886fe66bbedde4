"""A hook of MkDocs: the site gets a page that shows the network of the package, digits.html, and a link to it."""

from pathlib import Path

from cnnx.models import pretrained

NAMED, LINKED = 'under the name `digits.html`', 'under the name <a href="../digits.html"><code>digits.html</code></a>'


def on_page_markdown(markdown, page, **_):
    """Make a link of the name, which is none where the pages are read in the repository."""
    return markdown.replace(NAMED, LINKED) if page.file.src_uri == 'page.md' else markdown


def on_post_build(config, **_):
    pretrained('lenet5-mnist').export(Path(config['site_dir']) / 'digits.html')
