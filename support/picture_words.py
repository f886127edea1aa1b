"""What the workbench says about pictures; support/words.py joins it with the other pages."""

from __future__ import annotations

ZH = {
    "picture": "图片",
    "picture_of_customer": "客户发来的图片",
    "picture_of_agent": "客服发出的图片",
    "picture_open": "在新标签页查看原图",
    "picture_send": "发送图片",
    "picture_hint": "PNG、JPEG 或 GIF，不超过 {most} MB；也可直接粘贴到回复框",
    "picture_large": "图片超过 {most} MB，无法发送。",
    "picture_type": "只能发送 PNG、JPEG 或 GIF 图片。",
    "picture_address": "系统未设置公网地址（PUBLIC_URL），这位客户收不到图片。",
}
EN = {
    "picture": "Picture",
    "picture_of_customer": "A picture from the customer",
    "picture_of_agent": "A picture from the agent",
    "picture_open": "Open the picture in a new tab",
    "picture_send": "Send a picture",
    "picture_hint": "PNG, JPEG or GIF, {most} MB at most; pasting into the reply works as well",
    "picture_large": "The picture is larger than {most} MB.",
    "picture_type": "PNG, JPEG and GIF pictures can be sent.",
    "picture_address": "No public address is set (PUBLIC_URL): this customer could not fetch the picture.",
}
FOR_SCRIPTS = ("picture_hint", "picture_large", "picture_type", "picture_address")
"""What the page's scripts say by themselves."""
