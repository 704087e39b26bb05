"""The processes that train together, as `torchrun` starts them; most often there is one.

Every process reads the same batches and takes its share of their rows. Process 0 alone reads the
stream, writes files and speaks.
"""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from midigen.errors import MidigenError, UsageError
from midigen.windows import IGNORE, Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process is number `rank` of `size`. shard: weights are split between them, too."""

    rank: int = 0
    size: int = 1
    shard: bool = False

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all have come here."""
        self.most(0.0)

    def share(self, value: T) -> T:
        """Return what process 0 gave as `value`."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        held: list[Any] = [value]
        dist.broadcast_object_list(held, src=0)
        found: T = held[0]
        return found

    def most(self, *values: float) -> list[float]:
        """Return the largest that any of them gave for each value; no GPU is waited for."""
        if self.size == 1:
            return list(values)
        import torch
        import torch.distributed as dist

        found = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return found.tolist()

    def sum(self, value: "Tensor") -> "Tensor":
        """Return the sum of all their values."""
        if self.size > 1:
            import torch.distributed as dist

            dist.all_reduce(value)
        return value

    def rows(self, batch: Batch) -> Batch:
        """Return this process's rows of a batch; `scored` stays that of the whole batch.

        All get as many rows: where they do not divide, some get one that counts for nothing.
        """
        if self.size == 1:
            return batch
        import numpy as np

        mine = slice(self.rank, None, self.size)
        ids, targets, segments = (a[mine] for a in (batch.ids, batch.targets, batch.segments))
        if len(ids) < -(-len(batch.ids) // self.size):
            ids, segments = (
                np.append(a, b[:1], axis=0)
                for a, b in ((ids, batch.ids), (segments, batch.segments))
            )
            targets = np.append(targets, np.full_like(batch.targets[:1], IGNORE), axis=0)
        return Batch(ids, targets, segments, batch.after, batch.scored, batch.packed)

    def wrap(self, model: "nn.Module", dtype: "torch.dtype") -> "nn.Module":
        """Return what runs `model` and gives every process the mean of all their gradients."""
        if self.size == 1:
            return model
        if self.shard:
            return _sharded(model, dtype)
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(model)

    def close(self) -> None:
        """Leave the others. A process of torchrun does that by ending (see `end`)."""
        if self.size > 1 and not _is_of_torchrun():
            import torch.distributed as dist

            dist.destroy_process_group()


def _is_of_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def end(code: int) -> None:
    """End a process of torchrun here and now; return in any other.

    While Python tidies up, threads of gloo may still run, and then the process aborts, though all
    is written.
    """
    if _is_of_torchrun():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def join(device: str, *, shard: bool) -> tuple[Ranks, str]:
    """Return the processes that this one belongs to, and the device that is its own.

    Raises UsageError for --shard in a process that is alone.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        if shard:
            raise UsageError("--shard needs several processes: torchrun --nproc-per-node N ...")
        return Ranks(), device
    import torch
    import torch.distributed as dist

    if device.startswith("cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    elif device != "cpu":
        raise MidigenError(f"several processes cannot share the device {device}")
    # Weights meet on the GPUs; what the loop agrees on, on the CPU.
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
    return Ranks(dist.get_rank(), size, shard), device


def whole(tensor: "Tensor") -> "Tensor":
    """Return a tensor that may be split between processes as one; all must ask at once."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def split_like(value: "Tensor", like: "Tensor") -> "Tensor":
    """Return this process's share of a whole tensor, as `like` is split."""
    if not hasattr(like, "full_tensor"):
        return value.to(like.device)
    from typing import cast

    from torch.distributed.tensor import DTensor, distribute_tensor

    split = cast(DTensor, like)
    return distribute_tensor(value.to(like.device), split.device_mesh, split.placements)


def _sharded(model: "nn.Module", dtype: "torch.dtype") -> "nn.Module":
    """Split the weights of every block, and of the rest, between the processes (FSDP2)."""
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList):
            for block in module:
                fully_shard(block, mp_policy=policy)
    return fully_shard(model, mp_policy=policy)  # type: ignore[return-value]
