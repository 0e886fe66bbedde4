"""What all rooms share: checks of arguments, arrays, windows, random generators, how objects are printed."""
