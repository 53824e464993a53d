# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
"""How the ranks of a training group find each other: on their nodes' own addresses alone.

PyTorch's key-value store, by which ranks meet, listens on every interface of the first rank's machine, and gloo on the
one that the host's name resolves to. Here both use the address that Ray knows the node by: of a local session that is
127.0.0.1, of a cluster the network that its nodes share.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

import psutil
import ray
from ray.train._internal.utils import get_address_and_port
from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _TorchBackend


class OwnAddress(TorchConfig):
    """As Ray's, but listening as this module says."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:  # noqa: D102
        return _OwnAddressBackend


class _OwnAddressBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        backend = "nccl" if worker_group.get_resources_per_worker().get("GPU", 0) else "gloo"
        address, port = worker_group.execute_single(0, get_address_and_port)
        worker_group.execute(_set_torch_distributed_env_vars)
        ray.get([worker_group.execute_single_async(
            rank, join, backend, rank, len(worker_group), address, port, backend_config.timeout_s)
            for rank in range(len(worker_group))])


def join(backend: str, rank: int, world: int, address: str, port: int, timeout_s: int) -> None:
    """Make this process a rank of a group that meets at an address of the first rank's node."""
    import torch.distributed as dist

    os.environ.update(MASTER_ADDR=address, MASTER_PORT=str(port))
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")  # as Ray does: what hangs fails
    interface = _interface(ray.util.get_node_ip_address())
    if interface is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    wait = timedelta(seconds=timeout_s)
    listening = _listening(address, port) if rank == 0 else None
    store = dist.TCPStore(address, port, world, rank == 0, wait, master_listen_fd=listening)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=wait)


def _listening(address: str, port: int) -> int:
    """A socket that listens on this address alone; the store closes it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen(socket.SOMAXCONN)
    return server.detach()


def _interface(address: str) -> str | None:
    """The network interface that has an address."""
    return next((name for name, found in psutil.net_if_addrs().items()
                 if any(one.address == address for one in found)), None)
