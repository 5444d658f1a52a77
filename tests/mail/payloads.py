"""Templates that try to read, to spend, to fetch, or are simply wrong; and uses of personal fields."""

from __future__ import annotations

PERSON = ("person.name", "person.greeting", "links.unsubscribe")
VALUES = {"person.name": "Reader", "person.greeting": "Hello Reader,", "links.unsubscribe": "https://example.org/u/x"}

HARMLESS_OR_REFUSED = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ article.__class__.__init__.__globals__ }}",
    "{{ article['__class__'] }}",
    "{{ ()|attr('__class__') }}",
    "{{ article|attr('title') }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ loop }}",
    "{% for x in [1] %}{{ loop._iterable }}{{ loop.__class__ }}{% endfor %}",
    "{{ config }}{{ settings }}{{ request }}{{ env }}",
    "{{ lipsum.__globals__['os'].environ }}",
    "{{ cycler.__init__.__globals__.os.popen('env').read() }}",
    "{{ joiner.__init__.__globals__ }}{{ namespace.__init__ }}",
    "{{ range(10) }}",
    "{{ dict(a=1) }}",
    "{{ '{0.__class__}'.format(article) }}",
    "{{ '%s' % article }}",
    "{{ '{0.__class__}'|format(article) }}",
    "{{ article.keys() }}{{ article.pop('title') }}{{ article.update({'title': 'x'}) }}",
    "{% include '../../.env' %}",
    "{% include '../../../.env' %}{% include '/etc/passwd' %}",
    "{% include '.env' %}",
    "{% import 'os' as os %}{{ os.environ }}",
    "{% extends '/proc/self/environ' %}",
    "{{ open('/etc/passwd') }}",
    "{% set x = 1 %}{{ x.real.__class__ }}{{ x.to_bytes(100000000, 'big') }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func }}",
    "{{ article.title.encode() }}{{ article.title.center(999999999) }}",
    "{{ (1).__class__ }}{{ [].append(1) }}",
    "{{ '<b>'|safe }}{{ article|tojson }}{{ article|pprint }}{{ {'a': 1}|xmlattr }}",
    "{% do article.clear() %}",
    "{% debug %}",
    "{{ url_for.__globals__ }}{{ get_flashed_messages.__globals__ }}",
    "{% autoescape false %}{{ '<b>' }}{% endautoescape %}",
]


SPENDTHRIFT = [
    "{{ 9**9999999 }}",
    "{{ 9**9**9 }}",
    "{{ 'a' * 500000000 }}",
    "{{ [0] * 500000000 }}",
    "{{ '%0900000000d' % 1 }}",
    "{{ ('a'|replace('a', big)|replace('a', big)|replace('a', big)|replace('a', big)|replace('a', big))|length }}",
    "{% for a in big %}{% for b in big %}{% for c in big %}{% for d in big %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in big %}{% for b in big %}{{ big }}{% endfor %}{% endfor %}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{% include 'probe/body.txt.j2' %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{{ big|truncate(999999999)|wrap(999999999) }}{{ big|plain }}" * 400,
    "{{ '[' * 1 }}{{ ('['|replace('[', '['|replace('[', brackets)))|markdown }}",
]


MISTAKES = [
    ("line one\n{{ nme }}", 2, "'nme' is undefined"),
    ("{{ article.titel }}", 1, "did you mean 'title'?"),
    ("\n\n{% if %}", 3, "Expected an expression"),
    ("{% for a in [1] %}\n", 1, "endfor"),
    ("{{ article|no_such_filter }}", 1, "no_such_filter"),
    ("{{ 1 / 0 }}", 1, "ZeroDivisionError"),
    ("one\n{% include 'probe/nothing.txt.j2' %}", 2, "there is no file"),
    ("{{ '2027-13-01'|date }}", 1, "month must be in 1..12"),
    ("{{ '2027-01-11'|date('hh:mm') }}", 1, "no form 'hh:mm'"),
    ("{{ article.title.upper() }}", 1, "a text has no field 'upper'"),
    ("{{ 3() }}", 1, "only macros can be called"),
]


FETCHING = [
    '<img src="https://example.org/pixel.gif">',
    '<p style="background: url(https://example.org/x.png)">',
    "<style>@import 'https://example.org/x.css';</style>",
    '<style data-css-inline="keep">@font-face { src: url(//example.org/f) }</style>',
    '<link rel="stylesheet" href="https://example.org/x.css">',
    "<script>1</script>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="{{ bad }}">x</a>',
    '<a href="/relative">x</a>',
    '<p onclick="x()">',
    '<iframe src="https://example.org/"></iframe>',
    '<form action="https://example.org/"></form>',
    '<meta http-equiv="refresh" content="0">',
    '<video poster="https://example.org/x.png"></video>',
    '<table background="https://example.org/x.png"></table>',
    '<a href="{{ person.name }}">x</a>',
    '<p style="color: {{ person.name }}">x</p>',
    '<p title="{{ links.unsubscribe }}">x</p>',
    '<style data-css-inline="keep">{{ person.name }}</style>',
    "<!-- {{ person.name }} -->",
]


USES = [
    ("{{ person.name }}", ""),
    ("{{ person['name'] }} {{ links.unsubscribe }}", ""),
    ("{% for a in [1, 2] %}{{ person.name }}{% endfor %}", ""),
    (
        "{% if links.unsubscribe is defined %}{{ links.unsubscribe }}{% endif %}{% if links.other is defined %}{% endif %}",
        "",
    ),
    ("{% block b %}{{ person.name }}{% endblock %}", ""),
    ("{% if person.name %}x{% endif %}", "condition"),
    ("{{ 'x' if person.name else 'y' }}", "condition"),
    ("{{ person.name|upper }}", "filter"),
    ("{{ person.name|default('friend') }}", "filter"),
    ("{{ person.name ~ '!' }}", "computed"),
    ("{% set n = person.name %}{{ n }}", "stored"),
    ("{% set p = person %}{{ p.name }}", "stored"),
    ("{% with n = person.name %}{{ n }}{% endwith %}", "stored"),
    ("{% for c in person.name %}{{ c }}{% endfor %}", "loop"),
    ("{{ person }}", "computed"),
    ("{{ person[x] }}", "computed"),
    ("{{ person.name == 'x' }}", "compared"),
    ("{{ 'unsubscribe' in links }}", "compared"),
    ("{% macro m(n) %}{{ n }}{% endmacro %}{{ m(person.name) }}", "macro"),
    ("{% filter upper %}{{ person.name }}{% endfilter %}", "printed inside"),
    ("{% set s %}{{ person.name }}{% endset %}{{ s }}", "printed inside"),
    ("{% macro m() %}{{ person.name }}{% endmacro %}{{ m() }}", "printed inside"),
    ("{% filter upper %}{% include 'probe/part.txt.j2' %}{% endfilter %}", "printed inside"),
    ("{% filter upper %}{% include part %}{% endfilter %}", "printed inside"),
    ("{% block b %}{{ person.name }}{% endblock %}{{ self.b()|upper }}", "block"),
    ("{% from 'probe/part.txt.j2' import x with context %}{{ x() }}", "printed inside"),
]
