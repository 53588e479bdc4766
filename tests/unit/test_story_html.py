from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from model import html

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="`"))
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Collects tags and text, and checks that what is opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


@given(TEXT)
@example("<script>1 &lt; 2 & 3</script>")
def test_any_text_stays_text(text: str) -> None:
    read = Reader(html.paragraph(text))
    assert [tag for tag, _ in read.tags] == ["p"]
    assert read.text == text


@given(TEXT, TEXT)
def test_words_between_backquotes_are_code(before: str, code: str) -> None:
    read = Reader(html.paragraph(f"{before}`{code}`"))
    assert [tag for tag, _ in read.tags] == ["p", "code"]
    assert read.text == before + code


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_a_table_has_a_cell_for_each_text(rows: list[tuple[str, str]]) -> None:
    read = Reader(html.table(["one", "two"], rows, numbers=(1,)))
    cells = [attributes for tag, attributes in read.tags if tag == "td"]
    assert len(cells) == 2 * len(rows)
    assert [cell.get("class") for cell in cells] == [None, "number"] * len(rows)


def test_a_picture_is_in_the_page_itself_and_described() -> None:
    read = Reader(html.picture(b"\x89PNG", 'a "plot" <of> it'))
    (image,) = [attributes for tag, attributes in read.tags if tag == "img"]
    assert image["src"] == "data:image/png;base64,iVBORw=="
    assert image["alt"] == 'a "plot" <of> it'


def test_a_page_names_nothing_outside_of_itself() -> None:
    body = [html.heading("h"), html.pictures([html.picture(b"", "p")]), html.folded("s", "c")]
    text = html.page("<title>", body)
    read = Reader(text.removeprefix("<!DOCTYPE html>\n"))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in read.tags}
    assert "url(" not in text
    assert "http" not in text
    assert "@import" not in text
