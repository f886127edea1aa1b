"""WeChat official accounts: signed and encrypted XML in, passive XML replies out, within five seconds."""

from adapters.wechat.adapter import WeChatAdapter

__all__ = ["WeChatAdapter"]
