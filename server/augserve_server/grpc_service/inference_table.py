"""The messages of ``inference.GRPCInferenceService``, as Triton's ``grpc_service.proto`` numbers them."""

from __future__ import annotations

from typing import Final

from augserve_server.grpc_service.proto import Table

_NAMED: Final = "string name = 1; string version = 2"
_DESCRIBED: Final = "string name = 1; string datatype = 2; repeated int64 shape = 3"
_TENSOR: Final = f"{_DESCRIBED}; map InferParameter parameters = 4; InferTensorContents contents = 5"
_CHOICES: Final = "bool bool_param = 1 in parameter_choice; int64 int64_param = 2 in parameter_choice; "
_LOG_CHOICES: Final = (
    "bool bool_param = 1 in parameter_choice; uint32 uint32_param = 2 in parameter_choice; "
    "string string_param = 3 in parameter_choice"
)
_LOAD: Final = "string repository_name = 1; string model_name = 2; map ModelRepositoryParameter parameters = 3"
_DURATIONS: Final = "StatisticDuration compute_input = 2; StatisticDuration compute_infer = 3; "

_HEALTH: Final = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": "bool ready = 1",
}

_METADATA: Final = {
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name = 1; string version = 2; repeated string extensions = 3",
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": "string name = 1; repeated string versions = 2; string platform = 3; "
    "repeated ModelMetadataResponse.TensorMetadata inputs = 4; "
    "repeated ModelMetadataResponse.TensorMetadata outputs = 5",
    "ModelMetadataResponse.TensorMetadata": _DESCRIBED,
    "ModelConfigRequest": _NAMED,
    "ModelConfigResponse": "ModelConfig config = 1",
}

_INFERENCE: Final = {
    "InferParameter": f"{_CHOICES} string string_param = 3 in parameter_choice; "
    "double double_param = 4 in parameter_choice; uint64 uint64_param = 5 in parameter_choice",
    "InferTensorContents": "repeated bool bool_contents = 1; repeated int32 int_contents = 2; "
    "repeated int64 int64_contents = 3; repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; "
    "repeated float fp32_contents = 6; repeated double fp64_contents = 7; repeated bytes bytes_contents = 8",
    "ModelInferRequest": "string model_name = 1; string model_version = 2; string id = 3; "
    "map InferParameter parameters = 4; repeated ModelInferRequest.InferInputTensor inputs = 5; "
    "repeated ModelInferRequest.InferRequestedOutputTensor outputs = 6; repeated bytes raw_input_contents = 7",
    "ModelInferRequest.InferInputTensor": _TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": "string name = 1; map InferParameter parameters = 2",
    "ModelInferResponse": "string model_name = 1; string model_version = 2; string id = 3; "
    "map InferParameter parameters = 4; repeated ModelInferResponse.InferOutputTensor outputs = 5; "
    "repeated bytes raw_output_contents = 6",
    "ModelInferResponse.InferOutputTensor": _TENSOR,
    "ModelStreamInferResponse": "string error_message = 1; ModelInferResponse infer_response = 2",
}

_STATISTICS: Final = {
    "ModelStatisticsRequest": _NAMED,
    "StatisticDuration": "uint64 count = 1; uint64 ns = 2",
    "InferStatistics": "StatisticDuration success = 1; StatisticDuration fail = 2; StatisticDuration queue = 3; "
    "StatisticDuration compute_input = 4; StatisticDuration compute_infer = 5; StatisticDuration compute_output = 6; "
    "StatisticDuration cache_hit = 7; StatisticDuration cache_miss = 8",
    "InferResponseStatistics": "StatisticDuration compute_infer = 1; StatisticDuration compute_output = 2; "
    "StatisticDuration success = 3; StatisticDuration fail = 4; StatisticDuration empty_response = 5; "
    "StatisticDuration cancel = 6",
    "InferBatchStatistics": f"uint64 batch_size = 1; {_DURATIONS} StatisticDuration compute_output = 4",
    "MemoryUsage": "string type = 1; int64 id = 2; uint64 byte_size = 3",
    "ModelStatistics": f"{_NAMED}; uint64 last_inference = 3; uint64 inference_count = 4; uint64 execution_count = 5; "
    "InferStatistics inference_stats = 6; repeated InferBatchStatistics batch_stats = 7; "
    "repeated MemoryUsage memory_usage = 8; map InferResponseStatistics response_stats = 9",
    "ModelStatisticsResponse": "repeated ModelStatistics model_stats = 1",
}

_REPOSITORY: Final = {
    "ModelRepositoryParameter": f"{_CHOICES} string string_param = 3 in parameter_choice; "
    "bytes bytes_param = 4 in parameter_choice",
    "RepositoryIndexRequest": "string repository_name = 1; bool ready = 2",
    "RepositoryIndexResponse": "repeated RepositoryIndexResponse.ModelIndex models = 1",
    "RepositoryIndexResponse.ModelIndex": f"{_NAMED}; string state = 3; string reason = 4",
    "RepositoryModelLoadRequest": _LOAD,
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": _LOAD,
    "RepositoryModelUnloadResponse": "",
}

_SHARED_MEMORY: Final = {
    "SystemSharedMemoryStatusRequest": "string name = 1",
    "SystemSharedMemoryStatusResponse": "map SystemSharedMemoryStatusResponse.RegionStatus regions = 1",
    "SystemSharedMemoryStatusResponse.RegionStatus": "string name = 1; string key = 2; uint64 offset = 3; "
    "uint64 byte_size = 4",
    "SystemSharedMemoryRegisterRequest": "string name = 1; string key = 2; uint64 offset = 3; uint64 byte_size = 4",
    "SystemSharedMemoryRegisterResponse": "",
    "SystemSharedMemoryUnregisterRequest": "string name = 1",
    "SystemSharedMemoryUnregisterResponse": "",
    "CudaSharedMemoryStatusRequest": "string name = 1",
    "CudaSharedMemoryStatusResponse": "map CudaSharedMemoryStatusResponse.RegionStatus regions = 1",
    "CudaSharedMemoryStatusResponse.RegionStatus": "string name = 1; uint64 device_id = 2; uint64 byte_size = 3",
    "CudaSharedMemoryRegisterRequest": "string name = 1; bytes raw_handle = 2; int64 device_id = 3; "
    "uint64 byte_size = 4",
    "CudaSharedMemoryRegisterResponse": "",
    "CudaSharedMemoryUnregisterRequest": "string name = 1",
    "CudaSharedMemoryUnregisterResponse": "",
}

_OPERATIONS: Final = {
    "TraceSettingRequest": "map TraceSettingRequest.SettingValue settings = 1; string model_name = 2",
    "TraceSettingRequest.SettingValue": "repeated string value = 1",
    "TraceSettingResponse": "map TraceSettingResponse.SettingValue settings = 1",
    "TraceSettingResponse.SettingValue": "repeated string value = 1",
    "LogSettingsRequest": "map LogSettingsRequest.SettingValue settings = 1",
    "LogSettingsRequest.SettingValue": _LOG_CHOICES,
    "LogSettingsResponse": "map LogSettingsResponse.SettingValue settings = 1",
    "LogSettingsResponse.SettingValue": _LOG_CHOICES,
}

INFERENCE: Final = Table(
    "grpc_service.proto",
    "inference",
    {**_HEALTH, **_METADATA, **_INFERENCE, **_STATISTICS, **_REPOSITORY, **_SHARED_MEMORY, **_OPERATIONS},
)
