"""Accessibility of a page in a browser, by axe-core."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[1] / 'node_modules' / 'axe-core' / 'axe.min.js'


def complaints(page):
    """Return what axe-core finds on a page of Playwright, a line for each kind of element; or skip the test."""
    script = Path(os.environ.get('CNNX_AXE') or BESIDE)
    if not script.is_file():
        pytest.skip('axe-core is not installed: npm install --no-save axe-core, or its axe.min.js in CNNX_AXE')
    page.evaluate(script.read_text(encoding='utf-8') + '; undefined')
    found = page.evaluate('axe.run()')['violations']
    return [f'{rule["id"]}: {rule["help"]}: {node["html"]}' for rule in found for node in rule['nodes']]
