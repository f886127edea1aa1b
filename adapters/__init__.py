"""Platforms. One module or folder each; nothing outside this package knows a platform's protocol."""
