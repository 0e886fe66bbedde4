"""`cnnx look`: pictures of what a saved network sees in an image or a data set."""

import numpy as np

from cnnx import visual
from cnnx.cli.drawing import picture_file
from cnnx.cli.options import DATA, KERNELS, add_options
from cnnx.cli.predict import PACKAGED, load_model, preparation
from cnnx.cli.report import data_for
from cnnx.visual.grad_cam import map_layer

SMOOTH_SAMPLES = 50  # of SmoothGrad, as in its paper
OF_IMAGES = 'feature-maps', 'saliency', 'smoothgrad', 'gradcam', 'occlusion'
OF_DATA = 'top-images', 'data-map', 'errors', 'calibration'
WITH_LAYER = 'filters', 'feature-maps', 'gradcam', 'top-images', 'data-map'
WITH_CLASS = 'saliency', 'smoothgrad', 'gradcam', 'occlusion'
EPILOG = """Of a picture: feature-maps, what each layer gives; saliency, smoothgrad, gradcam and occlusion, what in it
speaks for a class. Of the network: filters. Of test images: top-images, those that units answer to most; data-map, how
alike they are to the network; errors, the most confident ones; calibration, whether it is as right as it is sure."""


def add_arguments(parser):
    parser.epilog = EPILOG
    parser.add_argument('model', metavar='MODEL', help=f'a file of Network.save, or a checkpoint, or {PACKAGED}')
    parser.add_argument('images', nargs='*', metavar='IMAGE', help='PNG, JPEG, BMP, WebP or TIFF files')
    parser.add_argument(
        '--what', choices=[*OF_IMAGES, 'filters', *OF_DATA], default='feature-maps', help='what to draw (feature-maps)'
    )
    parser.add_argument(
        '--plot', type=picture_file, default='look.png', metavar='FILE.png', help='the file to write (look.png)'
    )
    parser.add_argument('--class', dest='target', metavar='NAME', help='the class to look for (the predicted one)')
    parser.add_argument('--layer', type=int, metavar='N', help=f'a layer, by its index: for {", ".join(WITH_LAYER)}')
    parser.add_argument('--unit', type=int, metavar='N', help='for top-images: one unit of the layer (the first eight)')
    parser.add_argument(
        '--scale', action='store_true', help='only scale the picture: find no digit in it, as predict does'
    )
    title = f'data for {", ".join(OF_DATA)}'
    group = add_options(parser, title, *(name for name in DATA if name != 'train-samples'))
    group.add_argument('--all', action='store_true', help='with --data: all images, not the fifth that train tests on')
    add_options(parser, 'computation', *KERNELS)


def run(options):
    """Draw what a network sees."""
    _check(options)
    net = load_model(options.model)
    what, layer, path = options.what, options.layer, options.plot
    if what == 'filters':
        visual.plot_conv_weights(net, layer, path=path)
    elif what in OF_IMAGES:
        _draw_images(net, options)
    else:
        _draw_data(net, options)
    print(f'drew {path}')


def _check(options):
    """Raise a ValueError where options do not go together."""
    what = options.what
    if what in OF_IMAGES and not options.images:
        raise ValueError(f'--what {what}: expected a picture after {options.model}')
    if what not in OF_IMAGES and options.images:
        raise ValueError(f'--what {what}: expected no picture, got {options.images[0]}')
    if what == 'feature-maps' and len(options.images) > 1:
        raise ValueError(f'--what feature-maps: expected one picture, got {len(options.images)}')
    for given, name, fitting in (
        (options.layer, '--layer', WITH_LAYER),
        (options.unit, '--unit', ('top-images',)),
        (options.target, '--class', WITH_CLASS),
    ):
        if given is not None and what not in fitting:
            raise ValueError(f'{name} goes with --what {", ".join(fitting)}, not {what}')


def _draw_images(net, options):
    prepare = preparation(net, 'scale' if options.scale else None)
    x = np.stack([prepare(path)[0] for path in options.images])
    what, path, label = options.what, options.plot, _label(net, options.target)
    if what == 'feature-maps':
        visual.plot_conv_activity(net, x, None if options.layer is None else [options.layer], path=path)
    elif what == 'gradcam':
        visual.plot_gradcam(net, x, label, options.layer, path=path)
    elif what == 'occlusion':
        visual.plot_occlusion(net, x, label, path=path)
    else:
        visual.plot_saliency(net, x, label, smooth_samples=SMOOTH_SAMPLES * (what == 'smoothgrad'), path=path)


def _draw_data(net, options):
    (x, y), what, path = data_for(net, options).test, options.what, options.plot
    if what == 'top-images':
        layer = map_layer(net) if options.layer is None else options.layer
        visual.plot_top_activations(net, x, layer, options.unit, path=path)
    elif what == 'data-map':
        visual.plot_embedding(net, x, y, options.layer, path=path)
    elif what == 'errors':
        visual.plot_confident_errors(net, x, y, path=path)
    else:
        visual.plot_calibration_curve(net, x, y, path=path)


def _label(net, name):
    """Return the index of the class of a name, or None for no name."""
    if name is None:
        return None
    names = net.class_names or [str(i) for i in range(max(net.layers[-1].shape[-1], 2))]
    if name not in names:
        raise ValueError(f'--class {name}: expected one of {", ".join(names)}')
    return list(names).index(name)
