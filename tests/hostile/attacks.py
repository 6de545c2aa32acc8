"""Catalogue of attacks on jobs, each with the hostile cases or tests that cover it.

A case is named ``kind: name``, where ``*`` matches any text; a test is named ``file::test``.
"""

from __future__ import annotations

from typing import Final

ATTACKS: Final[dict[str, tuple[str, ...]]] = {
    "documents that never end: nested boxes": ("render_pdf: flex boxes*", "render_pdf: grids in grids"),
    "documents that never end: counter styles": ("render_pdf: a counter style*", "render_pdf: counter styles*"),
    "documents that never end: variables": ("render_pdf: variables*",),
    "documents that never end: drawings that use themselves": (
        "render_pdf: a drawing that uses itself*",
        "render_pdf: a pattern*",
        "render_pdf: a mask*",
        "render_pdf: XML entities that expand*",
    ),
    "documents that never end: gradients": ("render_pdf: a gradient*",),
    "documents that never end: cells over many columns": ("render_pdf: a cell over*", "render_pdf: cells over*"),
    "documents that never end: page breaks": ("render_pdf: a hundred thousand page breaks",),
    "documents that never end: huge letters": ("render_pdf: a letter*",),
    "documents that never end: deep nesting": ("render_pdf: elements five thousand deep", "render_pdf: spans fifty*"),
    "more pages than allowed end before they are written": (
        "tests/workers/pdf/rendering/test_render.py::test_more_pages_than_allowed_end_the_layout",
    ),
    "files of the worker through markup": ("render_pdf: a file of the worker in*",),
    "requests through markup": ("render_pdf: an address in*",),
    "what passes a renderer's own fetcher: attachments, style sheets": (
        "render_pdf: an attachment that is a path",
        "render_pdf: a style sheet that ends its element",
    ),
    "fonts of the machine": (
        "tests/workers/pdf/rendering/test_render.py::test_fonts_of_the_machine_are_not_read_through_local",
    ),
    "links that run scripts": ("render_pdf: links that run scripts or open files",),
    "cut pictures that pass because another library allowed it": (
        "transform_image: the first half of*",
        "tests/workers/images/codecs/test_reading.py::test_truncated_pictures_fail_whatever_other_libraries_have_set",
    ),
    "formats that are not supported": ("transform_image: PostScript", "transform_image: a Photoshop file"),
    "decompression bombs in pictures": ("transform_image: an AVIF of 2.2 KB*", "transform_image: a PNG of 18 KB*"),
    "frames times pixels": ("transform_image: frames times pixels",),
    "pictures that take long": ("transform_image: a JPEG that is read over and over",),
    "metadata of pictures that is a bomb or loops": (
        "transform_image: a colour profile that is a bomb",
        "describe_image: EXIF that points to itself*",
    ),
    "PDFs that break or inflate their readers": (
        "preview_pdf: content packed twice*",
        "edit_pdf: content packed twice*",
        "preview_pdf: a form that draws itself*",
        "extract_pdf_text: a page tree 5,000 deep*",
        "describe_pdf: bookmarks in a circle*",
    ),
    "requests inward": (
        "hash_file: loopback*",
        "transform_image: loopback*",
        "render_pdf: every way inward*",
        "tests/shared/outbound/test_policy.py::test_an_address_that_is_not_public_is_known",
    ),
    "names that lead elsewhere the second time": (
        "tests/shared/outbound/test_fetch.py::test_a_name_server_that_changes_its_answer_is_asked_once_and_its_first_answer_is_dialled",
    ),
    "redirects inward": ("tests/shared/outbound/test_fetch.py::test_every_hop_of_a_redirect_is_checked",),
    "proxies of the environment": ("tests/shared/outbound/test_fetch.py::test_a_proxy_in_the_environment_is_not_used",),
    "credentials carried across origins": (
        "tests/shared/outbound/test_fetch.py::test_credentials_and_bodies_do_not_leave_their_origin",
    ),
    "decompression bombs in bodies": (
        "tests/shared/outbound/test_fetch.py::test_a_bomb_is_cut_at_the_limit_while_it_unpacks",
    ),
    "hosts that never finish": (
        "tests/shared/outbound/test_fetch.py::test_a_host_that_does_not_answer_as_it_should_is_reported_in_time",
    ),
    "paths that climb": (
        "hash_file: up and out*",
        "hash_tree: a tree above the root",
        "verify_manifest: a manifest that climbs",
    ),
    "links out of a root": ("hash_file: a link out of the root", "hash_file: through a link to a folder"),
    "pipes, sockets and devices": ("hash_file: a pipe*", "hash_file: a socket", "hash_file: an endless device*"),
    "SQLite: writing, attaching, leaving the file": (
        "tests/server/io/sql/test_sqlite.py::test_no_way_to_write_or_to_leave_the_file_is_open",
    ),
    "SQLite: names that swallow the mode": (
        "tests/server/io/sql/test_sqlite.py::test_every_file_name_is_used_literally",
    ),
    "SQLite: queries without end": ("tests/server/io/sql/test_sqlite.py::test_bombs_end_in_time_with_a_clear_error",),
    "PostgreSQL: writing, several statements": (
        "tests/server/io/sql/postgres/test_database.py::test_no_way_to_write_or_to_leave_the_database_is_open",
        "tests/server/io/sql/test_drivers.py::test_everything_but_one_reading_statement_is_refused",
    ),
    "PostgreSQL: queries and rows without end": (
        "tests/server/io/sql/postgres/test_database.py::test_bombs_end_in_time_with_a_clear_error",
        "tests/server/io/sql/postgres/test_database.py::test_endless_rows_are_read_up_to_the_cap",
    ),
    "PostgreSQL: what a session remembers": (
        "tests/server/io/sql/postgres/test_database.py::test_a_connection_keeps_no_state_of_the_query_before",
    ),
    "MySQL: writing, several statements, files": (
        "tests/server/io/sql/mysql/test_guards.py::test_no_way_to_write_or_to_leave_the_database_is_open",
        "tests/server/io/sql/mysql/test_guards.py::test_files_of_the_host_are_not_read",
        "tests/server/io/sql/mysql/test_types.py::test_parameters_are_values_in_every_mode_of_the_server",
    ),
    "MySQL: queries and rows without end": (
        "tests/server/io/sql/mysql/test_guards.py::test_bombs_end_in_time_with_a_clear_error",
        "tests/server/io/sql/mysql/test_guards.py::test_endless_rows_are_read_up_to_the_cap",
    ),
    "MySQL: what a session remembers": (
        "tests/server/io/sql/mysql/test_pool.py::test_a_connection_keeps_no_state_of_the_query_before",
    ),
    "MySQL: servers that ask for the password or for files": (
        "tests/server/io/sql/mysql/test_rogue.py::test_no_server_gets_the_password_in_clear",
        "tests/server/io/sql/mysql/test_rogue.py::test_no_server_gets_a_file",
        "tests/server/io/sql/mysql/test_rogue.py::test_a_packet_without_end_takes_no_memory",
    ),
    "templates that reach out of their sandbox": ("render_pdf: a template that evaluates*",),
    "templates that never end": ("render_pdf: a loop*", "render_pdf: a macro that calls itself"),
    "raw HTML in Markdown": (
        "tests/workers/pdf/rendering/test_render.py::test_raw_html_in_markdown_keeps_structure_and_loses_the_rest",
    ),
    "names of files that are paths or headers": (
        "transform_image: a name that climbs",
        "transform_image: a name that splits headers",
        "edit_pdf: a file named like a path*",
        "tests/server/web/test_files.py::test_a_download_is_whole_and_cannot_do_harm_in_a_browser",
    ),
    "regular expressions that backtrack": (
        "search_text: repetitions in*",
        "search_text: a repetition of what may be empty*",
        "tests/workers/search/test_children.py::test_a_catastrophic_pattern_ends_before_its_child_is_killed",
    ),
    "regular expressions that grow or nest": (
        "search_text: counted repetitions*",
        "search_text: parentheses five thousand deep",
        "search_text: a pattern of ten megabytes",
    ),
    "texts without end, and matches in every line": (
        "search_text: a line of a terabyte",
        "search_text: every line*",
        "tests/workers/search/test_children.py::test_a_line_of_a_gigabyte_stays_within_the_memory_of_the_kind",
    ),
    "patterns and manifests that take long": ("hash_tree: stars without end", "verify_manifest: a JSON manifest*"),
    "a disk that is filled": (
        "tests/workers/sandbox/test_policy.py::test_a_full_folder_ends_the_job",
        "tests/workers/sandbox/test_policy.py::test_deleted_files_that_are_held_open_count",
    ),
    "printing without end": (
        "tests/workers/sandbox/test_policy.py::test_output_beyond_the_cap_is_dropped_and_counted",
        "tests/workers/sandbox/test_policy.py::test_a_job_that_prints_forever_times_out_and_others_are_served",
    ),
    "state from one job in the next": (
        "tests/workers/sandbox/test_policy.py::test_process_state_that_a_job_changed_is_restored",
        "tests/workers/pdf/rendering/test_render.py::test_fonts_of_the_document_do_not_outlive_its_job",
    ),
}
