"""torchvision-v2 augmentation pipelines over batches: seeded per sample, with torchvision's bytes."""

from augserve_pipelines.batch import Batch
from augserve_pipelines.decode_rule import DecodeRule
from augserve_pipelines.errors import (
    InvalidInput,
    InvalidParameters,
    InvalidPipeline,
    NoFinish,
    PipelinesError,
    Problem,
    ShapesDiffer,
)
from augserve_pipelines.explaining import Explanation, explain
from augserve_pipelines.finishing import Finishing
from augserve_pipelines.frames import Frames
from augserve_pipelines.input_rule import InputRule
from augserve_pipelines.pipeline import OutputSignature, Pipeline
from augserve_pipelines.records import Record
from augserve_pipelines.structures import Samples

__all__ = [
    "Batch",
    "DecodeRule",
    "Explanation",
    "Finishing",
    "Frames",
    "InputRule",
    "InvalidInput",
    "InvalidParameters",
    "InvalidPipeline",
    "NoFinish",
    "OutputSignature",
    "Pipeline",
    "PipelinesError",
    "Problem",
    "Record",
    "Samples",
    "ShapesDiffer",
    "explain",
]
