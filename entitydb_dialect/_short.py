"""The C side of the driver's short way (`engine/python`): a module of its own in the library that `_native` is."""

from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

from . import _native

_NAME = f"{__package__}._short"
_loader = ExtensionFileLoader(_NAME, _native.__file__)
_spec = spec_from_file_location(_NAME, _native.__file__, loader=_loader)
assert _spec is not None
_module = module_from_spec(_spec)
_loader.exec_module(_module)

Cursor, Known, Session = _module.Cursor, _module.Known, _module.Session
tagged_many, uncollected = _module.tagged_many, _module.uncollected

__all__ = ["Cursor", "Known", "Session", "tagged_many", "uncollected"]
