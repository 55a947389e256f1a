"""The Open Inference Protocol over gRPC, and gRPC's own health service, in the event loop that serves HTTP."""
