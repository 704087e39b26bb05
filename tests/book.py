"""Books for tests: sentences that a small grammar and a seed make."""

import random

NOUNS = ["fiddler", "drum", "river", "winter", "dancer", "café", "road", "tune", "bell", "night"]
VERBS = ["hears", "follows", "answers", "leaves", "remembers", "carries", "breaks"]
KINDS = ["old", "quiet", "naïve", "bright", "heavy", "last", "silver"]
JOINS = [", and then", "; but", ", while", "—for"]


def sentence(draw: random.Random) -> str:
    def thing() -> str:
        kind = f"{draw.choice(KINDS)} " if draw.random() < 0.5 else ""
        return f"the {kind}{draw.choice(NOUNS)}"

    text = f"{thing()} {draw.choice(VERBS)} {thing()}"
    while draw.random() < 0.4:
        text += f"{draw.choice(JOINS)} {thing()} {draw.choice(VERBS)} {thing()}"
    text = text[0].upper() + text[1:]
    said = f"“{text},” said O’{draw.choice(NOUNS).title()}; it's {draw.randrange(1700, 1999)}"
    return (said if draw.random() < 0.2 else text) + draw.choice(".....?!")


def write_book(size: int, seed: int = 0) -> bytes:
    """Return at least `size` bytes of paragraphs, in lines of about seventy bytes."""
    draw = random.Random(seed)
    parts: list[str] = []
    length = 0
    while length < size:
        words = " ".join(sentence(draw) for _ in range(draw.randrange(2, 7))).split(" ")
        line, lines = "", list[str]()
        for word in words:
            if len(line) + len(word) > 70:
                lines.append(line)
                line = ""
            line += f" {word}" if line else word
        parts.append("\n".join([*lines, line]) + "\n\n")
        length += len(parts[-1].encode())
    return "".join(parts).encode()
