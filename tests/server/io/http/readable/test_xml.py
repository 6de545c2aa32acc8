"""XHTML, feeds, and other XML."""

from __future__ import annotations

from offloop_server.io.http.readable.document import readable

_XHTML = '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">'


def markdown(xml: str) -> str | None:
    """The Markdown of XML."""
    return readable(xml, "markdown", "xml", "http://host/a/").text


def test_xhtml_is_read_by_the_rules_of_xml() -> None:
    head = '<head><title/><script src="x"/></head>'
    body = (
        '<body><p>a&nbsp;b &amp; c<a id="x"/> d</p><![CDATA[<e>]]>'
        '<h:p xmlns:h="http://www.w3.org/1999/xhtml">f</h:p></body>'
    )
    assert markdown(f"{_XHTML}{head}{body}</html>") == "a b & c d\n\n\\<e>\n\nf"


def test_xhtml_that_is_not_well_formed_is_read_as_html_with_a_note() -> None:
    found = readable(f"{_XHTML}<body><p>a<br>b</body></html>", "markdown", "xml")
    assert found.text == "a  \nb"
    assert "not well-formed" in found.notes[0]


def test_rss_is_a_heading_for_each_entry() -> None:
    items = (
        "<item><title>One &amp;amp; *two*</title><link>/1</link><pubDate>Tue, 02 Jan 2024</pubDate>"
        "<description><![CDATA[<p>Some <b>text</b></p>]]></description></item>"
        "<item><description>No title</description><link>/2</link></item>"
    )
    assert markdown(f"<rss version='2.0'><channel><title>News</title><link>/</link>{items}</channel></rss>") == (
        "# [News](http://host/)\n\n## [One & \\*two\\*](http://host/1)\n\nTue, 02 Jan 2024\n\nSome **text**\n\n"
        "## [http://host/2](http://host/2)\n\nNo title"
    )


def test_atom_is_read_too() -> None:
    entry = (
        "<entry><title>E</title><link href='/e'/><updated>2024-01-01</updated><author><name>N</name></author></entry>"
    )
    feed = f"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title>{entry}</feed>"
    assert markdown(feed) == "# T\n\n## [E](http://host/e)\n\n2024-01-01, N"


def test_files_of_a_feed_are_links() -> None:
    item = "<item><title>E</title><guid>http://host/e</guid><enclosure url='/e.mp3' type='audio/mpeg'/></item>"
    assert markdown(f"<rss version='2.0'><channel><title>T</title>{item}</channel></rss>") == (
        "# T\n\n## [E](http://host/e)\n\n[File: audio/mpeg](http://host/e.mp3)"
    )


def test_a_name_that_a_document_declares_itself_stays_as_it_is_written() -> None:
    source = "<!DOCTYPE html [<!ENTITY me 'x'>]><html xmlns='http://www.w3.org/1999/xhtml'><p>&me; &eacute;</p></html>"
    assert markdown(source) == "\\&me; é"


def test_other_xml_is_no_page() -> None:
    assert markdown("<config><a/></config>") is None


def test_entities_of_a_document_type_are_not_expanded() -> None:
    entities = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>"
    text = markdown(f"{entities}<html xmlns='http://www.w3.org/1999/xhtml'><p>&b;</p></html>")
    assert text is not None
    assert "aaaaaaaa" not in text
