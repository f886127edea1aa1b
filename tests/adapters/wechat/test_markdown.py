"""Markdown becomes text that a bubble shows as it was meant, and never more than text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wechat.markdown import Article, Picture, render
from adapters.wechat.reply import cleaned, tamed


def said(markdown: str) -> str:
    return render(markdown, "图片").text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# 办理**身份证**", "【办理身份证】"),
        ("您好，**请** *带上* `照片`。", "您好，请 带上 照片。"),
        ("- 甲\n- 乙\n  - 丙", "• 甲\n• 乙\n  • 丙"),
        ("3. 甲\n4. 乙", "3. 甲\n4. 乙"),
        ("1) 甲\n2) 乙", "1) 甲\n2) 乙"),
        ("> 引用\n> 第二行", "｜引用\n｜第二行"),
        ("甲\n\n***\n\n乙", "甲\n\n————\n\n乙"),
        ("| 费用 | 时间 |\n|--|--|\n| 免费 | 20天 |", "免费：20天"),
        ("| 项 | 费 | 时 |\n|-|-|-|\n| 甲 | 乙 | |", "• 项：甲；费：乙"),
        ("| 项 | 费 |\n|-|-|", "项 / 费"),
        ('```python\nprint("**x**")\n```', 'print("**x**")'),
        ("第一行\n第二行<br>第三行", "第一行\n第二行\n第三行"),
        ("2*3*4=24，a_b_c", "2*3*4=24，a_b_c"),
        ("    缩进的一段", "缩进的一段"),
        ("", ""),
    ],
)
def test_marks_become_signs(markdown: str, text: str) -> None:
    assert said(markdown) == text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("[指南](https://x.cn/s?a=1&b=2)", '<a href="https://x.cn/s?a=1&b=2">指南</a>'),
        ("<https://x.cn/a>", "https://x.cn/a"),
        ("[https://x.cn/a](https://x.cn/a)", "https://x.cn/a"),
        ("https://x.cn/a_b_c", "https://x.cn/a_b_c"),
        # words that look like one address and lead to another
        ("[https://bank.cn](https://evil.cn)", "https://bank.cn：https://evil.cn"),
        ("[bank.com](https://evil.cn)", "bank.com：https://evil.cn"),
        ("[电话](tel:123)", "电话：tel:123"),
        ("![示意](https://x.cn/a.png)", "示意：https://x.cn/a.png"),
        ("![](https://x.cn/a.png)", "图片：https://x.cn/a.png"),
    ],
)
def test_links_stay_usable_and_honest(markdown: str, text: str) -> None:
    assert tamed(said(markdown)) == text


@pytest.mark.parametrize(
    "markdown",
    [
        "[好](weixin://bizmsgmenu?msgmenucontent=转账&msgmenuid=1)",
        "[好](javascript:alert(1))",
        '[x](https://ok "><a href=weixin://x>")',
        '[<a href="weixin://x">y</a>](https://ok)',
        '<a href="weixin&#58;//x">好</a>',
        "&lt;a href='weixin://x'&gt;好",
    ],
)
def test_no_markup_makes_a_link_that_acts_for_the_customer(markdown: str) -> None:
    result = tamed(said(markdown))
    assert not re.search(r"weixin\s*:\s*/", result)
    for opened in re.findall(r"<\s*a\b[^>]*>?", result, re.IGNORECASE):
        assert re.fullmatch(r'<a href="https://ok[^"<>]*">', opened)


def test_pictures_are_named_and_may_be_shown_by_themselves() -> None:
    markdown = "看 ![甲](https://x.cn/a.png) 和 ![](https://x.cn/b.png)"
    rendered = render(markdown, "图片", {"https://x.cn/a.png"})
    assert rendered.pictures == (Picture("https://x.cn/a.png", "甲"), Picture("https://x.cn/b.png"))
    assert rendered.text == "看 ［甲］ 和 图片：https://x.cn/b.png"


def test_an_answer_that_is_little_more_than_a_link_could_be_an_article() -> None:
    assert render("请看[指南](https://x.cn/g)。", "图片").article == Article("指南", "https://x.cn/g", "请看")
    for more in ("[甲](https://x.cn/1) [乙](https://x.cn/2)", "字" * 100 + "[甲](https://x.cn)", "你好"):
        assert render(more, "图片").article is None


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("甲a1 \n\t#*_`~[]()!<>|-+>:&\\.\"'/👨‍👩‍👧"), max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(said(cleaned(text)), str)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("甲a19 \n\n\t\x0b\u3000\u2028.):;=+-!?@/'，。"), max_size=20))
def test_text_without_a_mark_is_what_it_would_be_beside_one(text: str) -> None:
    # a mark has everything parsed
    assert said(f"*好*\n\n{text}") == f"好\n\n{said(text)}".rstrip("\n")


@pytest.mark.parametrize(
    "piece", ["[", "![", "*a **a ", "_a*", "> ", "- ", "| a | b |\n", "[a](", "`", "<a "]
)
def test_no_text_makes_it_slow_or_deep(piece: str) -> None:
    begun = time.process_time()
    said((piece * 20_000)[:20_000])
    half = 20_000 // (2 * len(piece))
    said(piece * half + piece[::-1] * half)
    assert time.process_time() - begun < 5


def test_a_book_is_left_as_it_is() -> None:
    assert said("**好**" * 10_000) == "**好**" * 10_000
