"""`local`: worker processes on this machine, isolated so that one bad item costs one item."""

from midigen_local.executor import LocalExecutor

__all__ = ["LocalExecutor"]
