"""Training and evaluation: the loop, the data that it is fed with, and how a run is saved and resumed."""
