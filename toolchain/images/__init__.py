"""Container images: what they are made of, fetching their parts, building them.

Public use::

    name = image_name("cross", pins, layout)                     # no engine, a millisecond
    ensure_image(engine, name, layout=layout, pins=pins, reporter=reporter)

``ensure_image``, ``list_images`` and ``remove_images`` are in :mod:`toolchain.images.ensure` and
:mod:`toolchain.images.inventory`; they are not imported here because names are asked for in every
run and images are rarely built.
"""

from toolchain.images.definition import KINDS, STEP_KINDS, Kind, image_name, project_pins

__all__ = ["KINDS", "STEP_KINDS", "Kind", "image_name", "project_pins"]
