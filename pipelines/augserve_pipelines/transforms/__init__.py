"""The transforms of ``torchvision.transforms.v2`` under their names, for YAML, pipelines and eager use."""

from augserve_pipelines.interpolation import InterpolationMode
from augserve_pipelines.transforms import functional
from augserve_pipelines.transforms.affine import RandomAffine
from augserve_pipelines.transforms.aug_mix import AugMix
from augserve_pipelines.transforms.auto_augment import AutoAugment
from augserve_pipelines.transforms.auto_augment_policies import AutoAugmentPolicy
from augserve_pipelines.transforms.base import RandomTransform, Transform
from augserve_pipelines.transforms.blur import GaussianBlur
from augserve_pipelines.transforms.bounding_boxes import (
    ClampBoundingBoxes,
    ConvertBoundingBoxFormat,
    SanitizeBoundingBoxes,
    SetClampingMode,
)
from augserve_pipelines.transforms.center_crop import CenterCrop
from augserve_pipelines.transforms.channels import RandomChannelPermutation
from augserve_pipelines.transforms.color import ColorJitter, RandomPhotometricDistort
from augserve_pipelines.transforms.containers import Compose, Identity, RandomApply, RandomChoice, RandomOrder
from augserve_pipelines.transforms.conversion import ConvertImageDtype, ToDtype
from augserve_pipelines.transforms.elastic import ElasticTransform
from augserve_pipelines.transforms.erasing import RandomErasing
from augserve_pipelines.transforms.five_crop import FiveCrop, TenCrop
from augserve_pipelines.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip
from augserve_pipelines.transforms.grayscale import RGB, Grayscale, RandomGrayscale
from augserve_pipelines.transforms.histogram import RandomAutocontrast, RandomEqualize
from augserve_pipelines.transforms.iou_crop import RandomIoUCrop
from augserve_pipelines.transforms.jpeg import JPEG
from augserve_pipelines.transforms.keypoints import ClampKeyPoints, SanitizeKeyPoints
from augserve_pipelines.transforms.kinds import PILToTensor, ToImage, ToPILImage, ToPureTensor, ToTensor
from augserve_pipelines.transforms.lambdas import Lambda
from augserve_pipelines.transforms.linear import LinearTransformation
from augserve_pipelines.transforms.mixing import CutMix, MixUp
from augserve_pipelines.transforms.noise import GaussianNoise
from augserve_pipelines.transforms.normalize import Normalize
from augserve_pipelines.transforms.pad_edges import Pad
from augserve_pipelines.transforms.perspective import RandomPerspective
from augserve_pipelines.transforms.pointwise import RandomInvert, RandomPosterize, RandomSolarize
from augserve_pipelines.transforms.queries import (
    check_type,
    get_bounding_boxes,
    get_keypoints,
    has_all,
    has_any,
    query_chw,
    query_size,
)
from augserve_pipelines.transforms.rand_augment import RandAugment
from augserve_pipelines.transforms.random_crop import RandomCrop
from augserve_pipelines.transforms.random_resized_crop import RandomResizedCrop
from augserve_pipelines.transforms.random_sizes import RandomResize, RandomShortestSize, ScaleJitter
from augserve_pipelines.transforms.resize_to import Resize
from augserve_pipelines.transforms.rotation import RandomRotation
from augserve_pipelines.transforms.sharpness import RandomAdjustSharpness
from augserve_pipelines.transforms.temporal import UniformTemporalSubsample
from augserve_pipelines.transforms.trivial_augment import TrivialAugmentWide
from augserve_pipelines.transforms.zoom_out import RandomZoomOut

__all__ = [
    "JPEG",
    "RGB",
    "AugMix",
    "AutoAugment",
    "AutoAugmentPolicy",
    "CenterCrop",
    "ClampBoundingBoxes",
    "ClampKeyPoints",
    "ColorJitter",
    "Compose",
    "ConvertBoundingBoxFormat",
    "ConvertImageDtype",
    "CutMix",
    "ElasticTransform",
    "FiveCrop",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "Identity",
    "InterpolationMode",
    "Lambda",
    "LinearTransformation",
    "MixUp",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChannelPermutation",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomIoUCrop",
    "RandomOrder",
    "RandomPerspective",
    "RandomPhotometricDistort",
    "RandomPosterize",
    "RandomResize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomShortestSize",
    "RandomSolarize",
    "RandomTransform",
    "RandomVerticalFlip",
    "RandomZoomOut",
    "Resize",
    "SanitizeBoundingBoxes",
    "SanitizeKeyPoints",
    "ScaleJitter",
    "SetClampingMode",
    "TenCrop",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToPureTensor",
    "ToTensor",
    "Transform",
    "TrivialAugmentWide",
    "UniformTemporalSubsample",
    "check_type",
    "functional",
    "get_bounding_boxes",
    "get_keypoints",
    "has_all",
    "has_any",
    "query_chw",
    "query_size",
]
