"""Settings of models that cannot be."""

from typing import Any

from midigen.errors import MidigenError


def check_counts(name: str, config: Any, *fields: str) -> None:
    """Raise MidigenError where a setting is below 1. name: the plugin's."""
    for field in fields:
        if getattr(config, field) < 1:
            raise MidigenError(f"{name}: {field}={getattr(config, field)} must be at least 1")


def check_heads(name: str, config: Any) -> None:
    """Raise MidigenError where `heads` does not divide `width`."""
    if config.width % config.heads:
        raise MidigenError(
            f"{name}: width={config.width} must be a multiple of heads={config.heads}"
        )


def check_dropout(name: str, config: Any) -> None:
    """Raise MidigenError where `dropout` drops all, or less than nothing."""
    if not 0.0 <= config.dropout < 1.0:
        raise MidigenError(f"{name}: dropout={config.dropout} must be in 0..1, 1 excluded")
