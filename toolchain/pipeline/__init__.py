"""The concrete steps that lead from training data, or a given model, to a firmware.

```
train -> convert -> embed -> interpreter -> firmware
                 -> reference       library -^     |
                                            -> sources
```
"""

from toolchain.pipeline.firmware_steps import firmware_name
from toolchain.pipeline.pipeline import Pipeline
from toolchain.pipeline.training import TrainingOptions

__all__ = ["Pipeline", "TrainingOptions", "firmware_name"]
