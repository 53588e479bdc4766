"""How steps call make in the pinned tree."""

from __future__ import annotations

TREE = "/opt/tflm"
"""Where the images ``cross`` and ``host`` have the tree."""

MAKE = ("make", "-f", "tensorflow/lite/micro/tools/make/Makefile")
