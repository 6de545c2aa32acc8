"""Editing PDFs: order, destinations, stamps, encryption, metadata, sanitising."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String
from PIL import Image
from pydantic import ValidationError

from offloop.errors import JobError, LimitExceeded
from offloop.jobs.documents import Edit, Edited
from offloop.kinds.job_context import JobContext
from offloop.kinds.limits import Limits
from offloop_workers.pdf.editing import stamping
from offloop_workers.pdf.reading import claims, trees
from support.files import pdfs

EditAll = Callable[..., Edited]

A = pdfs.written("Alpha")
B = pdfs.written("Beta", 2)


def reference(content: bytes, mime: str = "application/pdf") -> str:
    """Bytes as a reference."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def texts_of(context: JobContext, index: int = 0) -> list[str]:
    """The text of each page of a result."""
    return pdfs.texts(context.artifacts[index].path)


def test_a_merge_keeps_order_bookmarks_and_destinations(
    run: EditAll, result: Callable[..., Any], context: JobContext
) -> None:
    made = run([A, (B, {"title": "Second"})], {"op": "merge"}, name="all")
    assert (made.pages, [one.name for one in made.documents]) == (5, ["all.pdf"])
    assert [text.split(" to ")[0] for text in texts_of(context)] == [
        *(f"Alpha page {number}" for number in (1, 2, 3)),
        *(f"Beta page {number}" for number in (1, 2)),
    ]
    with result() as pdf:
        assert pdfs.outline(pdf) == [
            (1, "Alpha", 1),
            *((2, f"Alpha page {number}", number) for number in (1, 2, 3)),
            (1, "Second", 4),
            *((2, f"Beta page {number}", number + 3) for number in (1, 2)),
        ]


def test_links_and_names_that_clash_lead_to_their_own_file(run: EditAll, result: Callable[..., Any]) -> None:
    run([A, B, A], {"op": "merge"})
    with result() as pdf:
        assert pdfs.links(pdf) == {3: [3], 5: [5], 8: [8]}
        found = {name.decode(): pdfs.page_of(pdf, String(name)) for name in trees.names(pdf, "/Dests")}
        assert found == {"p1": 1, "p2": 2, "p3": 3, "p1.2": 4, "p2.2": 5, "p1.3": 6, "p2.3": 7, "p3.2": 8}


def test_names_of_both_kinds_and_go_to_actions_are_renamed(run: EditAll, result: Callable[..., Any]) -> None:
    def old_style(pdf: pikepdf.Pdf) -> None:
        target = Array([pdf.pages[1].obj, Name.Fit])
        pdf.Root.Dests = Dictionary(here=target)
        action = Dictionary(S=Name.GoTo, D=Name.here)
        note = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 9, 9]), A=action)
        pdf.pages[0].obj.Annots = Array([pdf.make_indirect(note)])

    source = pdfs.saved(old_style, B)
    run([source, source], {"op": "merge"})
    with result() as pdf:
        assert pdfs.links(pdf) == {1: [2], 2: [2], 3: [4], 4: [4]}
        assert set(pdf.Root.Dests.keys()) == {"/here", "/here.2"}


def test_a_merge_without_bookmarks_of_files_keeps_those_inside(run: EditAll, result: Callable[..., Any]) -> None:
    run([A, B], {"op": "merge", "bookmarks": False})
    with result() as pdf:
        assert [level for level, _, _ in pdfs.outline(pdf)] == [1] * 5


def test_page_labels_are_kept(run: EditAll, result: Callable[..., Any]) -> None:
    def labelled(pdf: pikepdf.Pdf) -> None:
        entries = [0, Dictionary(S=Name.r), 2, Dictionary(S=Name.D, P=String("A-"), St=7)]
        pdf.Root.PageLabels = Dictionary(Nums=Array(entries))

    run([B, pdfs.saved(labelled, A)], {"op": "merge"})
    with result() as pdf:
        assert [page.label for page in pdf.pages] == ["1", "2", "i", "ii", "A-7"]


def test_form_fields_of_one_name_stay_apart(run: EditAll, result: Callable[..., Any]) -> None:
    source = pdfs.written("Form", 1, extra="<input name='who' value='Ann'>", pdf_forms=True)
    run([source, source], {"op": "merge"})
    with result() as pdf:
        names = [field.fully_qualified_name for field in pdf.acroform.fields]
        assert len(set(names)) == 2
        assert [field.value_as_string for field in pdf.acroform.fields] == ["Ann", "Ann"]


def test_embedded_files_are_kept_under_unique_names(run: EditAll, result: Callable[..., Any]) -> None:
    attached = {"op": "attach", "files": [{"file": reference(b"one"), "name": "x.txt", "relationship": "Data"}]}
    run([A, B], attached, {"op": "merge"})
    with result() as pdf:
        assert [bytes(file.get_file().read_bytes()) for file in pdf.attachments.values()] == [b"one", b"one"]
        assert len(pdf.Root.AF) == 2
        assert {one.AFRelationship for one in pdf.Root.AF} == {Name.Data}


def test_hidden_layers_stay_hidden(run: EditAll, result: Callable[..., Any]) -> None:
    def layered(pdf: pikepdf.Pdf) -> None:
        drawn, hidden = (pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String(name))) for name in ("on", "off"))
        properties = Dictionary(OCGs=Array([drawn, hidden]), D=Dictionary(OFF=Array([hidden])))
        pdf.Root.OCProperties = properties

    run([A, pdfs.saved(layered, B)], {"op": "merge"})
    with result() as pdf:
        assert [str(layer.Name) for layer in pdf.Root.OCProperties.D.OFF] == ["off"]
        assert len(pdf.Root.OCProperties.OCGs) == 2


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [("3,1", [3, 1]), ("-1", [3]), ("2-", [2, 3]), ("odd", [1, 3]), ("3-1", [3, 2, 1]), ("1,1,even", [1, 1, 2])],
)
def test_pages_are_selected_and_reordered(run: EditAll, context: JobContext, pages: str, numbers: list[int]) -> None:
    run([A], {"op": "select", "pages": pages})
    assert [text.split()[2] for text in texts_of(context)] == [str(number) for number in numbers]


def test_pages_that_were_not_selected_are_not_in_the_file(run: EditAll, result: Callable[..., Any]) -> None:
    def secret(pdf: pikepdf.Pdf) -> None:
        pdf.pages[1].contents_add(b"% top-secret-page")

    run([pdfs.saved(secret, A, compress_streams=False)], {"op": "select", "pages": "1,3"})
    with result() as pdf:
        assert [(title, page) for _, title, page in pdfs.outline(pdf)] == [("Alpha page 1", 1), ("Alpha page 3", 2)]
        assert sum(1 for one in pdf.objects if isinstance(one, Dictionary) and one.get("/Type") == Name.Page) == 2
        streams = [one.read_bytes() for one in pdf.objects if isinstance(one, pikepdf.Stream)]
        assert not any(b"top-secret" in content for content in streams)
        assert pdf.docinfo.Title == "Alpha"
        assert pdf.Root.Lang == "en"


def test_sources_may_contribute_some_of_their_pages(run: EditAll, context: JobContext) -> None:
    run([(A, {"pages": "-1"}), (B, {"pages": "1"})], {"op": "merge"})
    assert [text.split(" to ")[0] for text in texts_of(context)] == ["Alpha page 3", "Beta page 1"]


@pytest.mark.parametrize(
    ("step", "pages"),
    [({"every": 2}, [2, 1]), ({"every": 50}, [3]), ({"ranges": ["1", "2-", "all"]}, [1, 2, 3])],
)
def test_a_split_makes_numbered_files(run: EditAll, step: dict[str, Any], pages: list[int]) -> None:
    made = run([A], {"op": "split", **step}, name="part.pdf")
    assert [one.pages for one in made.documents] == pages
    expected = ["part.pdf"] if len(pages) == 1 else [f"part-{number}.pdf" for number in range(1, len(pages) + 1)]
    assert [one.name for one in made.documents] == expected


def test_without_merge_every_file_is_edited_separately(run: EditAll, result: Callable[..., Any]) -> None:
    run([A, B], {"op": "rotate", "degrees": 90, "pages": "1"}, {"op": "rotate", "degrees": 270, "pages": "1,1"})
    for index in (0, 1):
        with result(index) as pdf:
            assert [page.rotation % 360 for page in pdf.pages] == [0] * len(pdf.pages)


def test_a_rotation_adds_to_the_existing_one(run: EditAll, result: Callable[..., Any]) -> None:
    run([A], {"op": "rotate", "degrees": 270, "pages": "odd"}, {"op": "rotate", "degrees": 180})
    with result() as pdf:
        assert [page.rotation for page in pdf.pages] == [90, 180, 90]


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("position", "corner"), [("top-left", (0, 0)), ("bottom-right", (1, 1)), ("top-right", (1, 0)), ("left", (0, 0.5))]
)
def test_a_stamp_is_in_the_visible_corner(
    run: EditAll, context: JobContext, turned: int, position: str, corner: tuple[float, float]
) -> None:
    def blank(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].obj.Contents = pdf.make_stream(b"2 0 0 2 0 0 cm")  # a page that leaves its scale behind
        pdf.pages[0].cropbox = Array([50, 50, 350, 450])
        pdf.pages[0].rotation = turned

    run([pdfs.saved(blank)], {"op": "stamp", "text": "####", "position": position, "margin_mm": 5, "font_size": 20})
    drawn = pdfs.picture(context.artifacts[0].path)
    left, top, right, bottom = pdfs.inked(drawn)
    assert right - left > bottom - top  # upright
    for at, low, high, size in ((corner[0], left, right, drawn.width), (corner[1], top, bottom, drawn.height)):
        place = {0: low, 0.5: (low + high) / 2, 1: size - high}[at]
        assert abs(place - (size / 2 if at == 0.5 else 14)) < 8


def test_numbers_scripts_and_artifacts_of_text_stamps(
    run: EditAll, result: Callable[..., Any], context: JobContext
) -> None:
    run([A], {"op": "stamp", "text": "Blatt {page}/{pages} <b>مسودة</b>", "position": "bottom"})
    for number, text in enumerate(texts_of(context), 1):
        assert f"Blatt {number}/3 <b>" in text
    with result() as pdf:
        pdf.pages[0].contents_coalesce()
        assert b"/Artifact BMC" in pdf.pages[0].Contents.read_bytes()
        found = [one for one in pdf.objects if isinstance(one, Dictionary) and "/BaseFont" in one]
        fonts = {str(font.get("/Subtype")) for font in found}
        assert "/Type0" in fonts  # embedded, not one of the viewer's own
    assert context.warnings == []


def test_a_character_without_glyph_is_named(run: EditAll, context: JobContext) -> None:
    run([B], {"op": "stamp", "text": "\U000e0041\U0001fb00\U00012000"})
    assert any(line.startswith("No font has U+") for line in context.warnings)


def test_a_stamp_may_be_translucent_over_or_under_the_page(run: EditAll, context: JobContext) -> None:
    def black(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].obj.Contents = pdf.make_stream(b"0 0 50 600 re f")

    red = io.BytesIO()
    Image.new("RGB", (40, 40), "#ff0000").save(red, "PNG")
    step = {"op": "stamp", "file": reference(red.getvalue(), "image/png"), "position": "fill"}
    run([pdfs.saved(black)], {**step, "opacity": 0.5})
    run_under = pdfs.picture(context.artifacts[0].path)
    assert run_under.getpixel((200, 300)) == (255, 127, 127)
    assert run_under.getpixel((20, 300)) == (128, 0, 0)
    context.artifacts.clear()
    run([pdfs.saved(black)], {**step, "layer": "under"})
    drawn = pdfs.picture(context.artifacts[0].path)
    assert drawn.getpixel((200, 300)) == (255, 0, 0)
    assert drawn.getpixel((20, 300)) == (0, 0, 0)


def test_a_picture_keeps_its_transparency_and_takes_its_share(run: EditAll, context: JobContext) -> None:
    picture = Image.new("RGBA", (100, 50), (0, 0, 255, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 50, 50))
    out = io.BytesIO()
    picture.save(out, "WEBP", lossless=True)
    step = {"op": "stamp", "file": reference(out.getvalue(), "image/webp"), "width_percent": 50}
    run([pdfs.saved(lambda pdf: pdf.pages[0].contents_add(b"% blank"), pdfs.written("", 1))], step)
    drawn = pdfs.picture(context.artifacts[0].path)
    assert drawn.getpixel((drawn.width // 2 - 20, drawn.height // 2)) == (0, 0, 255)
    assert drawn.getpixel((drawn.width // 2 + 20, drawn.height // 2)) == (255, 255, 255)


def test_a_page_of_another_pdf_is_a_letterhead(run: EditAll, context: JobContext) -> None:
    step = {"op": "stamp", "file": reference(A), "file_page": 2, "layer": "under", "pages": "2"}
    run([B], step)
    assert "Alpha page 2" in texts_of(context)[1]
    assert "Alpha" not in texts_of(context)[0]
    with pytest.raises(JobError, match="no page 9: the stamp's file has 3"):
        run([B], {**step, "file_page": 9})


def test_encryption_asks_for_the_password_and_limits(run: EditAll, result: Callable[..., Any]) -> None:
    run([A], {"op": "encrypt", "user_password": "öffne", "owner_password": "own", "allow": ["print"]})
    with pytest.raises(pikepdf.PasswordError):
        result()
    with result(password="öffne") as pdf:  # noqa: S106 -- a password of this test
        assert (pdf.encryption.R, pdf.encryption.bits) == (6, 256)
        allowed = {name for name, may in pdf.allow._asdict().items() if may}
        assert allowed == {"accessibility", "print_lowres", "print_highres"}
        assert not pdf.owner_password_matched
    with result(password="own") as pdf:  # noqa: S106 -- a password of this test
        assert pdf.owner_password_matched


def test_an_encrypted_source_is_never_written_open_by_accident(run: EditAll, result: Callable[..., Any]) -> None:
    source = (pdfs.locked(A), {"password": "secret"})
    for steps in ([], [{"op": "merge"}], [{"op": "select", "pages": "1"}]):
        with pytest.raises(JobError, match="is encrypted: add") as failed:
            run([source, B], *steps)
        assert failed.value.reason == "still_encrypted"
    run([source], {"op": "decrypt"})
    with result() as pdf:
        assert not pdf.is_encrypted


@pytest.mark.parametrize(("password", "words"), [(None, "is encrypted"), ("wrong", "The password does not open")])
def test_a_missing_or_wrong_password_is_reported(run: EditAll, password: str | None, words: str) -> None:
    with pytest.raises(JobError, match=words) as failed:
        run([(pdfs.locked(A), {"password": password})], {"op": "decrypt"})
    assert failed.value.reason == "wrong_password"


def test_forbidden_operations_need_the_owner_password(run: EditAll) -> None:
    source = pdfs.locked(A, user="", modify_other=False, extract=False)
    with pytest.raises(JobError, match="does not permit to copy, modify: send the owner password") as failed:
        run([source], {"op": "decrypt"})
    assert failed.value.reason == "not_permitted"
    assert run([(source, {"password": "owner"})], {"op": "decrypt"}).pages == 3


def test_restrictions_of_the_owner_that_the_result_loses_are_warned_of(run: EditAll, context: JobContext) -> None:
    source = pdfs.locked(A, user="", print_lowres=False, print_highres=False, extract=False)
    run([(source, {"password": "owner"})], {"op": "decrypt"})
    assert context.warnings == []
    run([source], {"op": "decrypt"})
    (warning,) = context.warnings
    assert "does not permit to print, copy, and the result no longer says so" in warning


def test_optimising_makes_it_smaller_and_linear(run: EditAll, result: Callable[..., Any]) -> None:
    source = pdfs.saved(
        lambda _pdf: None, A, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.generalized
    )
    made = run([source], {"op": "optimise", "linearise": True})
    assert made.size < made.source_size
    with result() as pdf:
        assert pdf.is_linearized


def test_the_same_steps_give_the_same_bytes(run: EditAll, context: JobContext) -> None:
    digests = set()
    for _ in range(2):
        run([A, B], {"op": "merge"}, {"op": "stamp", "text": "x"}, {"op": "metadata", "title": "t"}, {"op": "optimise"})
        digests.add(context.artifacts.pop().sha256)
    assert len(digests) == 1


def test_attachments_have_name_type_and_relationship(
    run: EditAll, result: Callable[..., Any], context: JobContext
) -> None:
    file = {"file": reference(b"<xml/>"), "name": "factur-x.xml", "mime_type": "text/xml", "description": "Invoice"}
    run([B], {"op": "attach", "files": [{**file, "relationship": "Alternative"}, {**file, "name": "../../evil"}]})
    with result() as pdf:
        invoice = pdf.attachments["factur-x.xml"]
        assert (invoice.filename, invoice.description) == ("factur-x.xml", "Invoice")
        assert invoice.get_file().mime_type == "text/xml"
        assert invoice.obj.AFRelationship == Name.Alternative
        assert pdf.attachments["evil"].filename == "evil"
    assert any("ask for a PDF/A-3" in line for line in context.warnings)


def test_metadata_agrees_in_both_places(run: EditAll, result: Callable[..., Any]) -> None:
    step = {"title": "Ünïcode", "author": "Ann", "subject": "", "keywords": ["a", "b"], "language": "pt-BR"}
    run([A], {"op": "metadata", **step})
    with result() as pdf:
        assert (pdf.docinfo.Title, pdf.docinfo.Author, pdf.docinfo.Keywords) == ("Ünïcode", "Ann", "a, b")
        assert "/Subject" not in pdf.docinfo
        assert pdf.Root.Lang == "pt-BR"
        found = pdf.open_metadata()
        assert (found["dc:title"], found["dc:creator"]) == ("Ünïcode", ["Ann"])
        assert found["pdf:Keywords"] == "a, b"


def test_metadata_can_be_cleared(run: EditAll, result: Callable[..., Any]) -> None:
    run([A], {"op": "metadata", "clear": True})
    with result() as pdf:
        assert dict(pdf.docinfo) == {}
        assert "/Lang" not in pdf.Root


def test_sanitising_removes_active_content_and_keeps_links(run: EditAll, result: Callable[..., Any]) -> None:
    def active(pdf: pikepdf.Pdf) -> None:
        script = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))
        launch = pdf.make_indirect(Dictionary(S=Name.Launch, F=String("calc.exe")))
        pdf.Root.OpenAction = Dictionary(S=Name.GoTo, D=Array([pdf.pages[0].obj, Name.Fit]), Next=launch)
        pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array([String("x"), script])))
        pdf.Root.AcroForm = Dictionary(XFA=String("<xdp/>"), Fields=Array([]))
        web = Dictionary(S=Name.URI, URI=String("https://example.org/"), Next=Array([script]))
        rest: dict[str, Any] = {"Type": Name.Annot, "Rect": Array([0, 0, 9, 9])}
        pdf.pages[0].obj.Annots = Array(
            [
                pdf.make_indirect(Dictionary(Subtype=Name.Link, A=web, AA=Dictionary(E=script, D=launch), **rest)),
                pdf.make_indirect(Dictionary(Subtype=Name.Movie, **rest)),
            ]
        )

    source = pdfs.saved(active, A)
    run([source], {"op": "sanitise"})
    with result() as pdf:
        kinds = {str(one.get("/S")) for one in pdf.objects if isinstance(one, Dictionary)}
        assert not {"/JavaScript", "/Launch"} & kinds
        assert "/JavaScript" not in pdf.Root.Names
        assert "/XFA" not in pdf.Root.AcroForm
        [note] = pdf.pages[0].Annots
        assert note.A.URI == "https://example.org/"
        assert "/Next" not in note.A
        assert "/Next" not in pdf.Root.OpenAction


def test_sanitising_may_remove_links_and_files_too(run: EditAll, result: Callable[..., Any]) -> None:
    def web(pdf: pikepdf.Pdf) -> None:
        note = Dictionary(Subtype=Name.Link, A=Dictionary(S=Name.URI, URI=String("https://example.org/")))
        pdf.pages[0].obj.Annots = Array([pdf.make_indirect(note)])
        pdf.attachments["x"] = pikepdf.AttachedFileSpec(pdf, b"x", filename="x")  # type: ignore[call-arg]  # has defaults

    run([pdfs.saved(web)], {"op": "sanitise", "links": True, "attachments": True})
    with result() as pdf:
        assert "/A" not in pdf.pages[0].Annots[0]
        assert len(pdf.attachments) == 0


@pytest.mark.parametrize("uri", ["javascript:app.alert(1)", " JaVa\tScript:x", "file:///etc/passwd", "data:,x"])
def test_a_link_with_an_active_scheme_is_sanitised(run: EditAll, result: Callable[..., Any], uri: str) -> None:
    def active(pdf: pikepdf.Pdf) -> None:
        note = Dictionary(Subtype=Name.Link, A=Dictionary(S=Name.URI, URI=String(uri)))
        pdf.pages[0].obj.Annots = Array([pdf.make_indirect(note)])

    run([pdfs.saved(active)], {"op": "sanitise"})
    with result() as pdf:
        assert "/A" not in pdf.pages[0].Annots[0]


def test_pages_that_share_their_resources_are_stamped_each_with_its_own(run: EditAll, context: JobContext) -> None:
    def share(pdf: pikepdf.Pdf) -> None:
        shared = pdf.make_indirect(Dictionary(XObject=Dictionary(Stamp2=pdf.make_stream(b""))))
        for _ in range(4):
            pdf.add_blank_page(page_size=(200, 100))
        for page in pdf.pages:
            page.obj.Resources = shared

    run([pdfs.saved(share)], {"op": "stamp", "text": "No. {page}"}, {"op": "stamp", "text": "again", "position": "top"})
    found = [set(text.split()) for text in texts_of(context)]
    assert found[-4:] == [{"No.", str(number), "again"} for number in range(len(found) - 3, len(found) + 1)]


def test_a_password_that_no_reader_could_type_again_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"user_password has 240 bytes in UTF-8, a PDF takes 127"):
        Edit.model_validate(
            {"sources": [{"file": "data:,x"}], "operations": [{"op": "encrypt", "user_password": "\u00e9" * 120}]}
        )


def test_flattening_draws_fields_into_the_page(run: EditAll, result: Callable[..., Any], context: JobContext) -> None:
    source = pdfs.written("Form", 1, extra="<input name='who' value='Ann Example'>", pdf_forms=True)
    run([source], {"op": "flatten"})
    with result() as pdf:
        assert "/AcroForm" not in pdf.Root
        assert not [note for note in pdf.pages[0].get("/Annots", []) if note.Subtype == Name.Widget]
    assert "Ann Example" in texts_of(context)[0]


def test_flattening_draws_annotations_of_a_document_without_a_form(run: EditAll, context: JobContext) -> None:
    def note(pdf: pikepdf.Pdf) -> None:
        page = pdf.pages[0]
        look = pdf.make_stream(b"1 0 0 rg 0 0 50 50 re f", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 50, 50])
        square = Dictionary(Type=Name.Annot, Subtype=Name.Square, Rect=[0, 0, 50, 50], F=4, AP=Dictionary(N=look))
        page.obj.Annots = Array([pdf.make_indirect(square)])

    run([pdfs.saved(note, A)], {"op": "flatten"})
    with pikepdf.open(context.artifacts[0].path) as pdf:
        assert not [one for one in pdf.pages[0].obj.get("/Annots", []) if one.Subtype == Name.Square]
    drawn = pdfs.picture(context.artifacts[0].path)
    assert drawn.getpixel((25, drawn.height - 25)) == (255, 0, 0)


def test_different_numbers_on_too_many_pages_are_refused(run: EditAll, monkeypatch: pytest.MonkeyPatch) -> None:
    """One text on as many pages is drawn once."""
    monkeypatch.setattr(stamping, "_MAX_TEXTS", 2)
    assert run([A], {"op": "stamp", "text": "Draft"}).documents[0].pages == 3
    assert run([A], {"op": "stamp", "text": "{page}", "pages": "1-2"}).documents[0].pages == 3
    with pytest.raises(LimitExceeded, match="stamped on 3 pages, more than the 2 of one step: use several"):
        run([A], {"op": "stamp", "text": "{page}"})


def test_claims_that_no_longer_hold_are_removed(run: EditAll, result: Callable[..., Any], context: JobContext) -> None:
    archive = pdfs.written("Archive", 2, pdf_variant="pdf/a-3b")
    run([archive], {"op": "encrypt", "user_password": "x"})
    with result(password="x") as pdf:  # noqa: S106 -- a password of this test
        assert claims.of(pdf) == []
    context.artifacts.clear()
    run([archive, archive], {"op": "merge"})
    with result() as pdf:
        assert claims.of(pdf) == []
    assert any("no longer claims PDF/A" in line for line in context.warnings)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"op": "select", "pages": "4"}, "There is no page 4: the document has 3"),
        ({"op": "rotate", "degrees": 90, "pages": "0"}, "There is no page 0"),
        ({"op": "rotate", "degrees": 90, "pages": "-4"}, "There is no page -4"),
        ({"op": "select", "pages": "one"}, "'one' is no page range"),
        ({"op": "split", "ranges": ["1-99999999999"]}, "There is no page 99999999999"),
    ],
)
def test_a_missing_page_is_named(run: EditAll, context: JobContext, step: dict[str, Any], words: str) -> None:
    with pytest.raises(JobError, match=words) as failed:
        run([A], step)
    assert failed.value.reason == "bad_input"
    assert context.artifacts == []


@pytest.mark.parametrize(
    "step",
    [
        {"op": "split"},
        {"op": "split", "every": 1, "ranges": ["1"]},
        {"op": "stamp"},
        {"op": "stamp", "text": "x", "file": "root:in/x"},
        {"op": "encrypt"},
        {"op": "explode"},
        {"op": "rotate", "degrees": 45},
        {"op": "metadata", "language": "no language"},
    ],
)
def test_a_step_that_makes_no_sense_is_refused_before_it_is_queued(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Edit.model_validate({"sources": [{"file": "root:in/x"}], "operations": [step]})


def test_too_many_pages_are_refused(run: EditAll) -> None:
    with pytest.raises(LimitExceeded, match="more than 10,000 pages"):
        run([A], *[{"op": "select", "pages": ",".join(["all"] * 100)}] * 3)


@pytest.mark.parametrize(
    "step",
    [
        {"op": "select", "pages": "all,all"},
        {"op": "split", "ranges": ["1-2", "all,1"]},
        {"op": "rotate", "degrees": 90, "pages": "all,all"},
        {"op": "stamp", "text": "x", "pages": "all,all"},
    ],
)
def test_a_lower_limit_of_pages_holds_in_every_step(run: EditAll, context: JobContext, step: dict[str, Any]) -> None:
    context.limits = Limits(pages=3)
    with pytest.raises(LimitExceeded, match="more than 3 pages, the most of one document"):
        run([A], step)


def test_a_signature_that_no_longer_holds_is_warned_of(run: EditAll, context: JobContext) -> None:
    def signed(pdf: pikepdf.Pdf) -> None:
        field = Dictionary(FT=Name.Sig, T=String("sig"), V=Dictionary(Type=Name.Sig, Filter=Name("/Adobe.PPKLite")))
        pdf.Root.AcroForm = Dictionary(Fields=Array([pdf.make_indirect(field)]), SigFlags=3)

    run([pdfs.saved(signed)], {"op": "rotate", "degrees": 90})
    assert any("digitally signed" in line for line in context.warnings)
