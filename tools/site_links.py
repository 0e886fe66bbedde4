"""A hook of MkDocs: links from pages to the source, which the site does not have, become plain text there."""

import posixpath
import re


def on_page_markdown(markdown, page, **_):
    folder = posixpath.dirname(page.file.src_uri)

    def shown(link):
        outside = posixpath.normpath(posixpath.join(folder, link[2])).startswith('../')
        return link[1] if outside else link[0]

    return re.sub(r'\[([^\]]*)\]\(([^)\s]+)\)', shown, markdown)
