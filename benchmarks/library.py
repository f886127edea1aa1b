"""How long the Q&A library takes for a message: `python -m benchmarks.library --entries 10000`.

Makes up a library (half exact, a fifth keywords, a fifth similar texts, a tenth regular expressions), asks it
questions that hit and questions that miss, and prints median and 99th percentile in milliseconds, by the
clock and of CPU time: on a busy machine the clock also counts the waiting. The naive scan compares each
message with every phrasing of the same library.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence

from rapidfuzz import fuzz

from handler.library import Draft, Mode, keywords, normalised, pattern_of
from handler.matching import Index, lines_of

SUBJECTS = (
    "居住证",
    "社保卡",
    "公积金",
    "退款",
    "发票",
    "快递",
    "会员卡",
    "宽带",
    "驾驶证",
    "护照",
    "医保",
    "户口",
)
PLACES = ("窗口", "网上", "手机", "大厅", "分店", "学校", "社区", "机场", "银行", "邮局")
ASKS = (
    "怎么办理",
    "需要什么材料",
    "要多久",
    "费用是多少",
    "在哪里办",
    "周末能办吗",
    "可以代办吗",
    "丢了怎么补",
)
LETTERS = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥东南西北春夏秋冬金木水火土"
MISSES = (
    "今天天气真不错，适合出去走走",
    "给我讲一个关于月亮的故事吧",
    "帮我写一封感谢信",
    "hello, can you help me?",
)


def draft(number: int, rng: random.Random) -> Draft:
    """One entry; the letters in its middle make it different from all others."""
    name = "".join(rng.choices(LETTERS, k=4))
    subject, place, asked = rng.choice(SUBJECTS), rng.choice(PLACES), rng.choice(ASKS)
    modes: Sequence[Mode] = ("exact",) * 5 + ("keywords",) * 2 + ("fuzzy",) * 2 + ("regex",)
    mode = modes[number % len(modes)]
    phrasings = {
        "exact": (f"{name}{place}的{subject}{asked}？", f"{subject}在{name}{place}{asked}"),
        "keywords": (f"{name} {subject} {asked[:2]}",),
        "fuzzy": (f"请问{name}{place}的{subject}{asked}",),
        "regex": (rf"{name}.{{0,6}}{subject}.{{0,4}}\w*",),
    }[mode]
    return Draft(phrasings, f"答案{number}", mode)


def hits_of(drafts: Sequence[Draft], count: int, rng: random.Random) -> list[str]:
    """Questions that the entries answer, in the words of customers."""
    made = []
    for each in rng.choices(drafts, k=count):
        said = rng.choice(each.phrasings)
        match each.mode:
            case "exact":
                made.append(f" {said}！")
            case "keywords":
                made.append(f"我想知道{said.replace(' ', '的')}啊")
            case "fuzzy":
                made.append(said.replace("请问", "问下"))
            case "regex":
                made.append(said.replace(".{0,6}", "的").replace(r".{0,4}\w*", "呢"))
    return made


def naive(drafts: Sequence[Draft], text: str) -> int | None:
    """The first entry that fits, found by comparing with every phrasing."""
    bare = normalised(text)
    for number, each in enumerate(drafts):
        for said in each.phrasings:
            match each.mode:
                case "exact":
                    fits = normalised(said) == bare
                case "keywords":
                    fits = all(word in bare for word in keywords(said))
                case "fuzzy":
                    fits = fuzz.ratio(bare, normalised(said)) >= each.threshold
                case "regex":
                    fits = pattern_of(said).search(text) is not None
            if fits:
                return number
    return None


def measure(ask: Callable[[str], object], texts: Sequence[str]) -> str:
    """Milliseconds a text: median and 99th percentile by the clock, then the same of CPU time."""
    clock, cpu = [], []
    for text in texts:
        started, used = time.perf_counter(), time.thread_time()
        ask(text)
        cpu.append((time.thread_time() - used) * 1000)
        clock.append((time.perf_counter() - started) * 1000)
    return " | ".join(
        f"{value:.3f}"
        for taken in (clock, cpu)
        for value in (statistics.median(taken), statistics.quantiles(taken, n=100, method="inclusive")[-1])
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--entries", type=int, default=10_000)
    options.add_argument("--questions", type=int, default=2_000)
    chosen = options.parse_args()
    rng = random.Random(20261121)
    drafts = [draft(number, rng) for number in range(chosen.entries)]

    start = time.process_time()
    lines = [lines_of(number, each) for number, each in enumerate(drafts)]
    compiled = time.process_time()
    index = Index(line for each in lines for line in each)
    built = time.process_time()

    hits = hits_of(drafts, chosen.questions, rng)
    misses = [rng.choice(MISSES) + "".join(rng.choices(LETTERS, k=6)) for _ in range(chosen.questions)]
    letters = [(text * 60)[:1_000] for text in misses[:200]]

    def best(text: str) -> object:
        return index.best(text, "wechat", "default", 1)

    answered = sum(best(text) is not None for text in hits)
    print(f"{chosen.entries:,} entries; compiled in {(compiled - start) * 1000:.0f} ms of CPU, ", end="")
    print(f"index built in {(built - compiled) * 1000:.0f} ms; {answered} of {len(hits)} hits answered\n")
    print("| texts | p50 ms | p99 ms | CPU p50 ms | CPU p99 ms |\n|---|---:|---:|---:|---:|")
    print(f"| that an entry answers | {measure(best, hits)} |")
    print(f"| that none answers | {measure(best, misses)} |")
    print(f"| of 1,000 characters, that none answers | {measure(best, letters)} |")
    print(f"| naive scan, answered | {measure(lambda text: naive(drafts, text), hits[:20])} |")
    print(f"| naive scan, not answered | {measure(lambda text: naive(drafts, text), misses[:20])} |")


if __name__ == "__main__":
    main()
