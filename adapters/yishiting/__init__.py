"""易事厅: an enterprise service desk whose robots call back and wait up to 60 seconds."""

from adapters.yishiting.adapter import YishitingAdapter

__all__ = ["YishitingAdapter"]
