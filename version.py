"""The release this tree is."""

VERSION = "0.1.0"
