"""A local Coze and a local WeChat that speak the real protocols over real HTTP.

For people without credentials, and for the tests. Nothing in the gateway depends on them.
"""
