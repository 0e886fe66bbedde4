"""How objects are shown: as they were made."""

import inspect


class Shown:
    """Shown by the constructor's arguments, which are kept in attributes of their names."""

    def __repr__(self):
        names = inspect.signature(type(self)).parameters
        arguments = ', '.join(f'{name}={getattr(self, name)!r}' for name in names if hasattr(self, name))
        return f'{type(self).__name__}({arguments})'


class Described(Shown):
    """One whose attributes that are not private are the constructor's arguments, and no others."""

    def settings(self):
        """Return the constructor's arguments as JSON can hold them."""
        return {name: value for name, value in vars(self).items() if not name.startswith('_')}
