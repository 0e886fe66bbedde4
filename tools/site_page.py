"""A hook of MkDocs: the site gets a page that shows the network of the package, digits.html."""

from pathlib import Path

from cnnx.models import pretrained


def on_post_build(config, **_):
    pretrained('lenet5-mnist').export(Path(config['site_dir']) / 'digits.html')
