"""Pictures of what a network sees, drawn by matplotlib (extra `plot`), and the numbers that they are made from."""

from cnnx._util.hints import explain_names, public_names
from cnnx.visual.calibration import Calibration, calibration_curve, plot_calibration_curve
from cnnx.visual.conv_activity import plot_conv_activity
from cnnx.visual.conv_weights import conv_weights, plot_conv_weights
from cnnx.visual.errors import ConfidentError, confident_errors, plot_confident_errors
from cnnx.visual.grad_cam import gradcam, plot_gradcam
from cnnx.visual.histograms import LayerHistograms
from cnnx.visual.occlusion import occlusion_heatmap, plot_occlusion
from cnnx.visual.saliency_maps import plot_saliency, saliency
from cnnx.visual.sample_map import embedding, pca, plot_embedding
from cnnx.visual.top_activations import TopActivations, plot_top_activations, top_activations

__all__ = [
    'Calibration',
    'ConfidentError',
    'LayerHistograms',
    'TopActivations',
    'calibration_curve',
    'confident_errors',
    'conv_weights',
    'embedding',
    'gradcam',
    'occlusion_heatmap',
    'pca',
    'plot_calibration_curve',
    'plot_confident_errors',
    'plot_conv_activity',
    'plot_conv_weights',
    'plot_embedding',
    'plot_gradcam',
    'plot_occlusion',
    'plot_saliency',
    'plot_top_activations',
    'saliency',
    'top_activations',
]

__getattr__, __dir__ = explain_names(__name__), public_names(__name__)
