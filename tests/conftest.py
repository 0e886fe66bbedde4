import os

from hypothesis import settings

settings.register_profile('cnnx', deadline=None, derandomize=True, print_blob=True, max_examples=40)
settings.register_profile('thorough', deadline=None, max_examples=2000)
settings.load_profile(os.environ.get('CNNX_HYPOTHESIS', 'cnnx'))
