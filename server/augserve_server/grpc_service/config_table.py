"""The configuration of a model as Triton's ``model_config.proto`` has it: as much of it as a pipeline can say."""

from __future__ import annotations

from typing import Final

from augserve_server.grpc_service.proto import Table

CONFIG: Final = Table(
    "model_config.proto",
    "inference",
    {
        "ModelInstanceGroup": "string name = 1; ModelInstanceGroup.Kind kind = 4; int32 count = 2; "
        "repeated int32 gpus = 3; repeated string profile = 5; bool passive = 7; string host_policy = 9",
        "ModelTensorReshape": "repeated int64 shape = 1",
        "ModelInput": "string name = 1; DataType data_type = 2; ModelInput.Format format = 3; repeated int64 dims = 4; "
        "ModelTensorReshape reshape = 5; bool is_shape_tensor = 6; bool allow_ragged_batch = 7; bool optional = 8; "
        "bool is_non_linear_format_io = 9",
        "ModelOutput": "string name = 1; DataType data_type = 2; repeated int64 dims = 3; "
        "ModelTensorReshape reshape = 5; string label_filename = 4; bool is_shape_tensor = 6; "
        "bool is_non_linear_format_io = 7",
        "ModelVersionPolicy": "ModelVersionPolicy.Latest latest = 1 in policy_choice; "
        "ModelVersionPolicy.All all = 2 in policy_choice; ModelVersionPolicy.Specific specific = 3 in policy_choice",
        "ModelVersionPolicy.Latest": "uint32 num_versions = 1",
        "ModelVersionPolicy.All": "",
        "ModelVersionPolicy.Specific": "repeated int64 versions = 1",
        "ModelQueuePolicy": "ModelQueuePolicy.TimeoutAction timeout_action = 1; "
        "uint64 default_timeout_microseconds = 2; bool allow_timeout_override = 3; uint32 max_queue_size = 4",
        "ModelDynamicBatching": "repeated int32 preferred_batch_size = 1; uint64 max_queue_delay_microseconds = 2; "
        "bool preserve_ordering = 3; uint64 priority_levels = 4; uint64 default_priority_level = 5; "
        "ModelQueuePolicy default_queue_policy = 6",
        "ModelParameter": "string string_value = 1",
        "ModelTransactionPolicy": "bool decoupled = 1",
        "ModelResponseCache": "bool enable = 1",
        "ModelConfig": "string name = 1; string platform = 2; string backend = 17; string runtime = 25; "
        "ModelVersionPolicy version_policy = 3; int32 max_batch_size = 4; repeated ModelInput input = 5; "
        "repeated ModelOutput output = 6; ModelDynamicBatching dynamic_batching = 11 in scheduling_choice; "
        "repeated ModelInstanceGroup instance_group = 7; string default_model_filename = 8; "
        "map string metric_tags = 10; map ModelParameter parameters = 14; "
        "ModelTransactionPolicy model_transaction_policy = 19; ModelResponseCache response_cache = 24",
    },
    {
        "DataType": [
            *("TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64"),
            *("TYPE_INT8", "TYPE_INT16", "TYPE_INT32", "TYPE_INT64", "TYPE_FP16", "TYPE_FP32", "TYPE_FP64"),
            *("TYPE_STRING", "TYPE_BF16"),
        ],
        "ModelInput.Format": ["FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"],
        "ModelInstanceGroup.Kind": ["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"],
        "ModelQueuePolicy.TimeoutAction": ["REJECT", "DELAY"],
    },
)
