"""The page that `Watch` writes: HTML with a stylesheet, a script and pictures in it, and nothing from elsewhere."""
