"""Writes HTML that needs nothing but itself: no network, no script, no other file."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 66rem;
  background: #fff; color: #1d1d1d; font: 1rem/1.55 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0.75rem; padding-top: 0.75rem;
  border-top: 1px solid #ddd; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 0.5rem; }
p, li { max-width: 46rem; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.9em;
  overflow-wrap: anywhere; }
.figures { display: grid; gap: 1rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; max-width: 45rem; }
img { display: block; width: 100%; height: auto; }
figcaption { color: #555; font-size: 0.9rem; }
.table { overflow-x: auto; margin: 0.75rem 0; }
table { border-collapse: collapse; font-size: 0.92rem; }
th, td { padding: 0.3rem 0.8rem 0.3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e3e3e3; }
th { font-weight: 600; border-bottom: 2px solid #bbb; vertical-align: bottom; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td:first-child { white-space: nowrap; }
.name { min-width: 11rem; overflow-wrap: anywhere; }
details { margin: 0.75rem 0; }
summary { cursor: pointer; }
""".strip()


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole document; ``body`` is HTML, ``title`` plain text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """Return a heading; ``text`` is plain."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """Return a paragraph of plain text; words between backquotes are set as code."""
    return f"<p>{inline(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """Return a list of plain texts; words between backquotes are set as code."""
    return "<ul>\n" + "\n".join(f"<li>{inline(text)}</li>" for text in texts) + "\n</ul>"


def inline(text: str) -> str:
    """Return plain text as HTML; words between backquotes are set as code."""
    parts = escape(text, quote=False).split("`")
    return "".join(
        f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts)
    )


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Collection[int] = (),
    names: Collection[int] = (),
) -> str:
    """Return a table of plain texts that scrolls sideways where there is no room.

    Args:
        headings: one for each column.
        rows: as long as ``headings`` each.
        numbers: columns that are flush right.
        names: columns of long names, which may be broken anywhere.
    """

    def cells(tag: str, texts: Sequence[str]) -> str:
        kinds = [
            ' class="number"' if place in numbers else ' class="name"' if place in names else ""
            for place in range(len(headings))
        ]
        return "".join(
            f"<{tag}{kind}>{inline(text)}</{tag}>" for kind, text in zip(kinds, texts, strict=True)
        )

    lines = [f"<tr>{cells('td', row)}</tr>" for row in rows]
    return (
        f'<div class="table"><table>\n<thead><tr>{cells("th", headings)}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody>\n</table></div>"
    )


def picture(png: bytes, description: str) -> str:
    """Return a picture that is part of the document; ``description`` is plain text."""
    data = base64.b64encode(png).decode("ascii")
    text = escape(description)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def pictures(figures: Iterable[str]) -> str:
    """Return figures side by side where there is room."""
    return '<div class="figures">\n' + "\n".join(figures) + "\n</div>"


def folded(summary: str, content: str) -> str:
    """Return HTML that is shown after a click on ``summary``, which is plain text."""
    return f"<details><summary>{inline(summary)}</summary>\n{content}\n</details>"
