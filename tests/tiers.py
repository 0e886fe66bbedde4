"""The processor tiers of compiled kernels that run here."""

import importlib
import importlib.util
import os

import pytest

try:
    TIERS = (*importlib.import_module('cnnx._ext.cpu').supported_tiers(), 'portable')
except ImportError:
    TIERS = ()
TIERS = tuple(tier for tier in TIERS if importlib.util.find_spec(f'cnnx._ext.{tier}.convolution'))
if os.environ.get('CNNX_SIMD'):
    TIERS = (os.environ['CNNX_SIMD'],)

every_tier = pytest.mark.parametrize('tier', TIERS)
