"""Which scope a request needs, by its method and path or by its gRPC method; what is not named here needs the most."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from augserve_server.tokens import Scope

HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
METRICS_PATH: Final = "/metrics"

# The first that matches holds. Paths are as the router sees them: decoded, and matched to their end.
_BY_PATH: Final[tuple[tuple[str, str, Scope], ...]] = (
    (r"GET|HEAD|POST", r"/v2/(?:[^/]+/)?(?:system|cuda)sharedmemory(?:/.*)?", Scope.SHM),
    (r"POST", r"/v1/augment/.*|/v1/replay", Scope.INFER),
    (r"POST", r"/v2/models/.+/infer", Scope.INFER),
    (r"POST", r"/v2/repository/(?:[^/]+/)?index", Scope.READ),
    (r"GET|HEAD", r".*", Scope.READ),
    (r".*", r".*", Scope.ADMIN),
)
_RULES: Final = tuple((re.compile(methods), re.compile(path, re.DOTALL), scope) for methods, path, scope in _BY_PATH)

_HEALTH_RPCS: Final = frozenset({"ServerLive", "ServerReady"})
_BY_RPC: Final[Mapping[str, Scope]] = {
    "ModelInfer": Scope.INFER,
    "ModelStreamInfer": Scope.INFER,
    "ModelReady": Scope.READ,
    "ServerMetadata": Scope.READ,
    "ModelMetadata": Scope.READ,
    "ModelConfig": Scope.READ,
    "ModelStatistics": Scope.READ,
    "RepositoryIndex": Scope.READ,
    **{
        f"{kind}SharedMemory{what}": Scope.SHM
        for kind in ("System", "Cuda")
        for what in ("Status", "Register", "Unregister")
    },
}


def scope_of_request(method: str, path: str) -> Scope:
    """The scope that a request over HTTP needs: writing what is unknown needs ``admin``, reading it ``read``."""
    return next(scope for methods, paths, scope in _RULES if methods.fullmatch(method) and paths.fullmatch(path))


def scope_of_rpc(method: str) -> Scope | None:
    """The scope that a gRPC call needs, by its full name ``/inference.GRPCInferenceService/ModelInfer``.

    None for health. Loading, logging, tracing and whatever is unknown need ``admin``.
    """
    service, _, name = method.removeprefix("/").rpartition("/")
    if service == "grpc.health.v1.Health" or name in _HEALTH_RPCS:
        return None
    return _BY_RPC.get(name, Scope.ADMIN)
