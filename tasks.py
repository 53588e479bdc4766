"""The tasks of ``./invoke``, which Invoke looks for in this file; ``toolchain/cli`` has them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from toolchain.cli.collection import collection

namespace = collection()
