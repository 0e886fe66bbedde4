"""How objects are shown: as they were made."""

import inspect


class Shown:
    """Shown by the constructor's arguments, which are kept in attributes of their names."""

    def __repr__(self):
        names = inspect.signature(type(self)).parameters
        arguments = ', '.join(f'{name}={getattr(self, name)!r}' for name in names if hasattr(self, name))
        return f'{type(self).__name__}({arguments})'
