"""The Open Inference Protocol, version 2, as this service speaks it; REST and gRPC answer from here."""
