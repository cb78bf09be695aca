"""The lint finds what it says it finds, and the house has no such place."""

import pytest

from tests.lint.sinks import check, check_tree, untrusted_fields

FIELDS = frozenset({"name", "hostname", "cat", "rule", "reason"})
HEAD = (
    "from textual.widgets import Static, Label, Button, DataTable, Tree, OptionList\n"
    "from textual.widgets.option_list import Option\n"
    "from textual.content import Content\nfrom rich.text import Text\nfrom rich.segment import Segment\n"
    "from screens.widgets.text import shown, content, line\nfrom store.text import safe_text, fit\n"
)

PLANTED = [
    ("Static(row.name)", "markup"),
    ("Static(f'host {count}')", "markup"),
    ("Static(title)", "markup"),
    ("Static('[bold]x[/bold]')", "markup"),
    ("Label('a' + title)", "markup"),
    ("Button(title)", "markup"),
    ("Option(title, id='x')", "markup"),
    ("RichLog(markup=True)", "markup"),
    ("app.notify(f'{row.hostname} failed')", "markup"),
    ("app.notify(text)", "markup"),
    ("app.notify(row.hostname, markup=False)", "raw"),
    ("table.add_row(row.name, 'x')", "markup"),
    ("table.add_row('x', title)", "markup"),
    ("table.add_column(title)", "markup"),
    ("table.update_cell('r', 'c', title)", "markup"),
    ("node.add_leaf(title)", "markup"),
    ("tree.root.add(title)", "markup"),
    ("tree = Tree(title)", "markup"),
    ("widget.border_title = title", "markup"),
    ("widget.border_subtitle = f'{a}'", "markup"),
    ("widget.tooltip = row.reason", "markup"),
    ("self.query_one('#x', Static).update(title)", "markup"),
    ("self.title = row.name", "raw"),
    ("from textual.markup import escape", "escape"),
    ("from rich.markup import escape", "escape"),
    ("Static(escape(title), markup=False)", "escape"),
    ("Text.from_markup('[b]x[/b]')", "markup"),
    ("Content.from_markup(f'[b]{title}[/b]')", "markup"),
    ("Content.from_markup('[b]' + title)", "markup"),
    ("x = '[@click=app.quit]x[/]'", "click"),
    ("from textual.widgets import Markdown\nMarkdown('x')", "markdown"),
    ("print('x')", "print"),
    ("Content(row.hostname)", "raw"),
    ("Content.styled(row.hostname.upper(), 'bold')", "raw"),
    ("Content.assemble(('x', ''), (f'{row.cat:<16}', 'bold'))", "raw"),
    ("Text(', '.join(row.rule for row in rows))", "raw"),
    ("Segment(row.hostname.ljust(20))", "raw"),
    ("Static(row.hostname, markup=False)", "raw"),
    ("def f(row):\n    text = row.hostname\n    more = text + '!'\n    return Content(more)", "raw"),
    ("def f(name: Untrusted):\n    return Segment(name)", "raw"),
    ("def f(rows):\n    for host in [row.hostname for row in rows]:\n        yield Content(host)", "raw"),
    ("Input(row.name)", "raw"),
    ("from textual.widgets import BrandNew", "matrix"),
]

NEAR_MISSES = [
    "Static('plain words')",
    "Static('', markup=False)",
    "Static(content(row.name))",
    "Static(title, markup=False)",
    "Static(Content.styled('x', 'bold'))",
    "Static(Content('\\n').join(lines))",
    "app.notify('Saved.')",
    "app.notify(safe_text(row.hostname), markup=False)",
    "table.add_row(shown(row.name), shown(row.hostname, 12))",
    "table.add_row(*(shown(part) for part in parts))",
    "node.add_leaf(shown(row.name))",
    "counts.update(more)",
    "widget.border_title = 'Alerts'",
    "widget.tooltip = None",
    "self.query_one('#x', Static).update(content(row.name))",
    "self.title = safe_text(row.name)",
    "Content.from_markup('[b]$name[/b]', name=safe_text(row.name))",
    "Content(fit(row.hostname, 20))",
    "Content(f'{row.severity:,} of {len(rows)}')",
    "Segment(f'{fit(row.hostname, 8)} {count:>4}')",
    "def f(row):\n    '''Never `[@click=app.quit]`.'''\n    host = safe_text(row.hostname)\n    return Content(host)",
    "Content(row.name)  # ours: a column of our own table",
    "x = 'click me'",
    "x = row.hostname == 'a'",
]


@pytest.mark.parametrize(("source", "rule"), PLANTED)
def test_a_planted_violation_is_found(source: str, rule: str):
    found = check(HEAD + source + "\n", "screens/planted.py", FIELDS)
    assert rule in {finding.rule for finding in found}
    assert all(finding.line > HEAD.count("\n") for finding in found)


@pytest.mark.parametrize("source", NEAR_MISSES)
def test_a_near_miss_is_left_alone(source: str):
    assert check(HEAD + source + "\n", "screens/planted.py", FIELDS) == []


def test_the_command_line_prints_nothing_raw():
    assert [f.rule for f in check("print(row.hostname)\n", "console/commands/x.py", FIELDS)] == ["raw"]
    assert check("print(safe_text(row.hostname))\n", "console/commands/x.py", FIELDS) == []


def test_an_exception_needs_a_reason():
    bare = HEAD + "Content(row.name)  # ours:\n"
    assert [finding.rule for finding in check(bare, "screens/planted.py", FIELDS)] == ["raw"]


def test_the_queries_say_which_fields_strangers_filled():
    assert {"name", "hostname", "cat", "rule", "reason", "organization"} <= untrusted_fields()


def test_the_house_has_no_raw_sink():
    assert [str(finding) for finding in check_tree()] == []
