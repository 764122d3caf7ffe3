"""The language cases of templates.py: (template, context) pairs, most of them one expression."""

VALUES = {
    "s": "Hello World", "u": "Ünïcödé ΑΣ Привет 日本", "e": "", "n": None, "t": True, "f": False, "i": 7, "neg": -3,
    "x": 2.5, "big": 123456789012, "l": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "el": [], "nested": [[1, 2], [3]],
    "d": {"b": 1, "a": "two", "items": [1], "c": None}, "ed": {}, "ws": "  \t pad\n ", "lines": "a\nb\n\nc\n", "html": "<b>&'\"</b>",
    "users": [{"name": "Bo", "age": 30, "tags": ["x"]}, {"name": "al", "age": 25, "tags": []},
              {"name": "Cy", "age": 30, "tags": ["y", "z"], "nick": "C"}],
    "m": [{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "T"}, {"type": "image"}]}],
}

# One expression a line, rendered as {{ … }} over VALUES.
EXPRESSIONS = r"""
1
-1
+1
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 % 3
-7 % 3
7 / 2
6 / 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
7.5 // 2
-7.5 % 2
1e3
1.0
1e16
1e-5
123456.789e3
0.1 + 0.2
1_000 + 0x1F + 0b101 + 0o17
1 / 0
1 // 0
1 % 0
1.5 % 0
True + True
true - false
'a' + 'b'
'a' + 1
1 + 'a'
'a' * 3
3 * 'ab'
'a' * -1
[1] * 2 + [2]
(1, 2) + (3,)
[1] + (2,)
'a' ~ 1 ~ none ~ 1.5 ~ [1, 'x'] ~ true
1 ~ 2
'%s-%05.1f-%d|%5s|%-5s|' % ('a', 3.14159, 42, 'x', 'y')
'%x %X %o %e %g %c %r %%' % (255, 255, 8, 12345.678, 0.00001, 'c', 'q')
'%(a)s/%(b)d' % {'a': 1, 'b': 2}
'%s' % 'one'
'%s %s' % 'one'
'%d' % 'x'
'%s' % [1, 2]
'%+d % d %#x %.3s' % (5, 5, 255, 'abcdef')
'%5d|%-5d|%05d' % (42, 42, -42)
1 == 1.0
'1' == 1
[1, 2] == [1, 2.0]
{'a': 1} == {'a': 1}
none == none
missing == missing2
1 < 2 < 3
1 < 3 < 2
1 < 2 > 1
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
none < 1
1 != 2
not 1 == 2
2 in l
9 not in l
'ell' in s
'b' in d
1 in 'abc'
1 in none
1 in 5
'x' in missing
missing in l
1 and 0
0 and 1
1 or 2
0 or ''
not none
not e
t and f or 'z'
none or missing or 3
1 if t else 2
1 if f else 2
1 if f
(1 if f) is undefined
1 if t else 2 if t else 3
'a' if f else 'b' if f else 'c'
s[0]
s[-1]
s[99]
s[1:4]
s[:-3]
s[::-1]
s[::2]
s[-3:]
s[10:2]
s[5:1:-1]
u[0]
u[-2:]
u[8:10]
u|length
l[0]
l[-1]
l[5]
l[1:]
l[::-1]
l[::0]
l['a']
l[1.5]
l[true]
d['a']
d.a
d.b
d.zzz
d['zzz']
d['items']
d[0]
d[[1]]
n.foo
n['foo']
5 .foo
i.foo
missing
missing.foo
missing['foo']
missing.foo.bar
missing()
missing + 1
missing ~ 'x'
-missing
missing|length
missing[0:1]
s.foo
s['foo']
s.upper()
s['upper']()
l.append(1)
l.append is defined
d.update({'a': 1})
d.pop('a')
l.pop
l.index(2)
l.index(9)
l.count(1)
l.copy()
d.get('a')
d.get('q')
d.get('q', 5)
d.get('c', 5)
d.get()
d.keys()|list
d.values()|list
d.items()|list
d.keys()
d.values()
d.items()
d.copy()
'a' in d.keys()
d.items()|length
(1, 2).index(2)
(1, 2).count(1)
s.__class__
s.__class__.__mro__
d.__class__ is defined
s.lower()
s.swapcase()
'ſİǅß ͅª'.swapcase()
'ⅷⒶⓐʰⅣªᶄ'.swapcase()
'ⅷⓐʰ'.islower(), 'ⅣⒶ'.isupper(), 'ⅷⒶ'.islower(), 'ⓐb ʰb'.title(), 'ΑΣⓐ ΑΣ'.lower(), 'ʰ' is lower
'hELLO wORLD'.title()
"they're bill's".title()
'hELLO'.capitalize()
u.upper()
u.lower()
u.title()
'straße'.upper()
'ΑΣ'.lower()
'ΑΣ Σ ΣΑ'.lower()
ws.strip()
ws.lstrip()
ws.rstrip()
'xxaxx'.strip('x')
'xyaxy'.strip('yx')
'xyaxy'.lstrip('x')
'xyaxy'.rstrip('y')
'日本日'.strip('日')
'a b  c'.split()
' a b '.split(' ')
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
'a b c'.split(none, 1)
'a b c '.rsplit(none, 1)
'abc'.split('')
'a--b--c'.split('--')
''.split()
''.split(',')
'a,b'.split(sep=',')
lines.splitlines()
lines.splitlines(true)
'a\r\nb\rc\x0bd\u2028e'.splitlines()
'-'.join(['a', 'b'])
'-'.join([1, 2])
'-'.join('abc')
'-'.join(d)
s.replace('o', '0')
s.replace('o', '0', 1)
'abc'.replace('', '-')
'aaa'.replace('aa', 'b')
s.startswith('Hello')
s.startswith(('x', 'He'))
s.startswith('World', 6)
s.startswith(['H'])
s.endswith('World')
s.endswith(('x', 'ld'))
s.find('o')
s.find('o', 5)
s.find('q')
s.rfind('o')
s.index('o')
s.index('q')
u.find('日')
s.count('l')
s.count('')
'aXbXc'.partition('X')
'aXbXc'.rpartition('X')
'abc'.partition('X')
'abc'.rpartition('X')
'abc'.center(10) ~ '|'
'abc'.center(8, '*')
'abcd'.center(7, '*')
'abc'.ljust(5, '.')
'abc'.rjust(5, '.')
'42'.zfill(5)
'-42'.zfill(5)
'a\tb'.expandtabs(4)
'prefix-x'.removeprefix('prefix-')
'x.txt'.removesuffix('.txt')
'123'.isdigit()
'12a'.isdigit()
''.isdigit()
'abc'.isalpha()
'ab1'.isalnum()
'日本'.isalpha()
' \t'.isspace()
'abc'.islower()
'ABC'.isupper()
'A1'.isupper()
'123'.isupper()
'Title Case'.istitle()
'a_b1'.isidentifier()
'abc'.isascii()
'é'.isascii()
'123'.isdecimal()
'{} and {}'.format(1, 'b')
'{0}{1}{0}'.format('a', 'b')
'{a}-{b}'.format(a=1, b=[1])
'{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c')
'{:05d} {:,} {:.2f} {:x} {:b} {:e} {:%}'.format(42, 1234567, 3.14159, 255, 5, 12345.6789, 0.25)
'{:*^9} {:+d} {: d} {:#x}'.format('mid', 3, 3, 255)
'{!r} {!s}'.format('q', 'q')
'{0[a]} {0.b}'.format(d)
'{{}} {}'.format(1)
'{}'.format()
'{x}'.format()
'{:d}'.format('a')
'{:5}|{:5}'.format(1, 'a')
'{:.3}'.format('abcdef')
'{:{}}|'.format('a', 5)
'{:g} {:g} {:.3g} {}'.format(1e10, 0.5, 1234.5, 1e100)
x.is_integer()
(4.0).is_integer()
s|upper
s|lower
s|title
'hello-world (foo) [bar]'|title
s|capitalize
none|upper
5|upper
missing|upper
ws|trim
'xxaxx'|trim('x')
none|trim
missing|trim
s|length
l|length
d|length
i|length
none|length
l|count
l|first
l|last
el|first
el|last
el|first is undefined
s|first
s|last
d|first
l|sort
l|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
[1, 'a']|sort
users|sort(attribute='age')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|list
users|sort(attribute='name', reverse=true)|map(attribute='name')|join(',')
words|unique|list
words|unique(true)|list
[1, 1.0, true, '1']|unique|list
l|min
l|max
el|max
el|max is undefined
words|max
words|min(case_sensitive=true)
users|max(attribute='age')
l|sum
el|sum
users|sum(attribute='age')
l|sum(start=10)
words|sum
[1.5, 2]|sum
l|join
l|join(', ')
[1, none, true, 'x', 1.5, [1]]|join('|')
users|join(',', attribute='name')
missing|join(',')
'abc'|join('-')
d|join(',')
l|list
s|list
d|list
'日本'|list
l|reverse|list
'abc'|reverse
'日本語'|reverse
5|reverse
l|map('string')|join
l|map('upper')|list
words|map('upper')|list
words|map('replace', 'p', 'P')|list
users|map(attribute='nick')|list
users|map(attribute='nick', default='-')|list
users|map(attribute='tags.0')|list
users|map('attr', 'name')|list
words|map('nosuchfilter')|list
missing|map('upper')|list
[0, 1, none, '', 'x']|select|list
[0, 1, none, '', 'x']|reject|list
l|select('odd')|list
l|select('>', 1)|list
l|reject('equalto', 1)|list
l|select('in', [1, 2])|list
l|select('divisibleby', 2)|list
l|select('nosuchtest')|list
users|selectattr('nick')|list
users|selectattr('nick', 'defined')|map(attribute='name')|list
users|rejectattr('nick', 'defined')|map(attribute='name')|list
users|selectattr('age', 'eq', 30)|map(attribute='name')|join
users|selectattr('age', '>=', 30)|list|length
users|selectattr('tags')|list|length
users|selectattr()|list
m|selectattr('role', 'equalto', 'system')|list
m|selectattr('role', 'equalto', 'system')|first
m|selectattr('role', 'equalto', 'system')|length
m|map(attribute='content')|first
(m|selectattr('role', 'equalto', 'nobody')) is iterable
'y' if m|selectattr('role', 'equalto', 'nobody') else 'n'
users|groupby('age')
users|groupby('age')|map(attribute='grouper')|list
users|groupby('nick', default='none')|map('first')|list
words|groupby(0)
[1, 2, 3, 4, 5]|batch(2)|list
[1, 2, 3, 4, 5]|batch(2, 0)|list
[1, 2, 3, 4, 5]|slice(2)|list
[1, 2, 3, 4, 5]|slice(3, 'x')|list
d|dictsort
{'b': 1, 'A': 2, 'a': 0}|dictsort
{'b': 1, 'A': 2, 'a': 0}|dictsort(true)
{'b': 1, 'A': 2}|dictsort(by='value')
{'b': 1, 'A': 2}|dictsort(reverse=true)
{1: 2, 'a': 3}|dictsort
d|items|list
missing|items|list
-5|abs
(-5)|abs
(-2.5)|abs
'a'|abs
2.5|round
3.5|round
2.675|round(2)
42.55|round(1, 'floor')
42.41|round(1, 'ceil')
1234|round(-2)
1250|round(-2)
1350|round(-2)
2.5|round(method='ceil')
2.5|round(0, 'other')
7|round
'42'|int
'42.9'|int
'abc'|int
'abc'|int(-1)
'0x1A'|int(0, 16)
'ff'|int(base=16)
'0b11'|int(base=0)
' 12 '|int
'1_000'|int
'1e3'|int
none|int
none|int(5)
true|int
2.9|int
-2.9|int
missing|int
'3.5'|float
'abc'|float
'abc'|float(1.5)
'inf'|float
'nan'|float
5|float
none|float
missing|float
i|string
x|string
none|string
l|string
[1.0, 'a', none, true]|string
s|replace('World', 'there')
5|replace('5', '6')
s|replace('l', 'L', 2)
s|replace('o', 5)
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, true, true)
lines|indent(width='> ')
lines|indent(first=true)
'one'|indent(4)
'a'|indent('x', true)
5|indent
'a long sentence with words'|truncate(15)
'a long sentence with words'|truncate(15, true)
'a long sentence with words'|truncate(15, false, '…')
'a long sentence with words'|truncate(11, leeway=0)
'abc'|truncate(1)
'short'|truncate(3, true)
'a b-c d_e'|wordcount
'The quick brown fox'|wordwrap(10)
'Thequickbrownfox jumps'|wordwrap(5)
'abc'|center(9) ~ '|'
'%s %s'|format('a', 'b')
'%(a)s'|format(a=1)
'%s'|format
html|e
html|escape
html|safe
html|forceescape
html|e|e
(html|e) ~ '<'
(html|e) + '<'
'<' + (html|safe)
'a'|safe + '<' + "'"
('<%s>'|safe) % '<x>'
('<'|safe)|upper + '>'
('a'|safe) is escaped
'a' is escaped
('x'|safe).join(['<', '>'])
('x'|safe).replace('x', '<')
[('x'|safe)]
'<p>Hi   <b>there</b></p> &amp; x'|striptags
'a b/c?d=é'|urlencode
{'a b': 1, 'c': 'd&e'}|urlencode
{'class': 'a', 'x': none, 'id': '<'}|xmlattr
1000|filesizeformat
1|filesizeformat
1234567|filesizeformat
1234567|filesizeformat(true)
missing|default('x')
missing|d
missing|default
none|default('x')
none|default('x', true)
''|d('x', true)
d.zzz|default('y')
d|attr('items') is callable
s|attr('upper') is defined
d|attr('a')
d|tojson
l|tojson
{'a': [], 'b': {}, 'c': [1, {'d': none}], 'é': '日本 \u2028 "\\ \n\t\b\f\r \x01 / </script>'}|tojson
{'a': [], 'b': {}, 'c': [1, {'d': none}]}|tojson(indent=2)
{'a': [1, 2], 'b': {'c': 1}}|tojson(indent='\t')
{'b': 1, 'a': 2}|tojson(sort_keys=true)
{'b': 1, 'a': [1]}|tojson(separators=(',', ':'))
{'b': 1, 'a': [1]}|tojson(separators=(',', ':'), indent=1)
'é日𝄞'|tojson(ensure_ascii=true)
'é'|tojson(true)
[1.0, 1e100, 0.1, -0.0, 1e16, true, none, 5]|tojson
(1, 2)|tojson
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
{(1, 2): 3}|tojson
missing|tojson
[missing]|tojson
range(3)|tojson
d.keys()|tojson
s|tojson(indent=4)
l|tojson(indent=0)
html|tojson
x|tojson|safe
s is string
i is string
i is number
t is number
x is float
i is float
i is integer
t is integer
t is boolean
t is true
1 is true
f is false
none is none
missing is none
missing is defined
missing is undefined
s is defined
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
i is sequence
missing is sequence
l is iterable
i is iterable
missing is iterable
d.items() is iterable
range(3) is sequence
d.items() is sequence
i is odd
i is even
i is divisibleby 7
i is divisibleby(2)
i is not divisibleby 2
i is eq 7
i is equalto 8
i is gt 3
i is lessthan 3
i is ge(7)
i is in [7, 8]
i is not in [7, 8]
'a' is lower
'A' is upper
'A1' is upper
i is sameas 7
none is sameas none
l is sameas l
s.upper is callable
s is callable
range is callable
'upper' is filter
'nosuch' is filter
[1] is filter
{} is test
missing is filter
-0.2|round(0, 'ceil')
'ſİǅßΑΣς'.casefold()
'Ꭰꭰ ﬃ'.casefold()
range(4).index(1)
range(4).index(2.5)
range(0, 10, 3).index(4)
range(2, 9, 2).count(4)
range(9, 2, -2).index(5)
range(3).nosuch
'odd' is test
i is nosuchtest
s|nosuchfilter
not i is odd
i is odd and x is float
i is odd is even
s is string or nope
range(5)|list
range(1, 5)|list
range(5, 1, -2)|list
range(0)|list
range(3)
range(1, 2, 3)
range(10)[2:5]
range(10)[-1]
range(10)[20]
3 in range(5)
9 in range(0, 10, 3)
range(200000)
range(1, 2, 0)
range('a')
range()
dict(a=1, b=2)
dict([('a', 1)])
dict({'a': 1}, b=2)
dict()
namespace(a=1).a
namespace(a=1).b
namespace(a=1)['a']
namespace({'x': 5}).x
namespace(_a=1)
namespace(a=1) is mapping
[1, 2, 3,]
[]
(1,)
()
(1, 2)
{}
{'a': 1, 'b': [1, 2], 3: 'x'}
{'a': 1, 'a': 2}
{[1]: 2}
{1: 'a', 1.0: 'b', true: 'c'}
[none, true, false, 1.5, 'it\'s', "say \"hi\"", 'both \' and "', '\n\t\\', 'é日', '\x00\x7f\u200b']
['a', ('b',), {'c': 'd'}]
[[], {}, ()]
'a' 'b'
"tab\there\u00e9\x41\101\q"
'\N'
'back\\slash'
1.5e300 * 1e10
1e308 * 10
-1e308 * 10
none
none ~ ''
true
false
True
None
x
big * 1000
i.real
1 .bit_length()
loop
cycler(1, 2).next()
cycler(1, 2).current
cycler()
raise_exception('boom ' ~ 1)
raise_exception()
l is sequence and l is not string
m[1].content[0].text
m[1]['content'][1]['type']
m[-1].role
m[5].role
m[5]
m|length > 1 and m[1].role == 'user'
(m|first).role
m[0].role ~ ':' ~ m[0].content
m[0]|tojson
s.split(' ')[0]
s.split('o')[-1].strip()
(s.split())[1:]|join
"a" if s else "b" ~ "c"
1,2
s|upper|lower|title
(s|upper).lower()
s|upper.lower()
[x for x in l]
lambda x: x
a b
1 +
(1
{'a': }
s.
s[
1 = 2
not
l|
'abc
*l
l[1,2]
d[(1,2)]
s|replace
s|replace('a')
s|upper(1)
s|default(1, 2, 3, 4)
s.upper(1)
d.get(k='a')
range(stop=3)
s if
x is
@
#
$x
1 if t else
'a' in
9223372036854775807
3.0 == 3
3.14|string|length
10 / 4 == 2.5
10 // 4.0
"é" < "z"
['b', 'A', 'c']|sort|join
['É', 'e', 'z']|sort|join
''|default('empty')
''|default('empty', true)
0|default(5)
0|default(5, boolean=true)
m|tojson(indent=2)
"x" * 0
"1" ~ 1 + 1
1 + 1 ~ "1"
2 * 3 ~ 4
-i|abs
(-i)|abs
-i ** 2
not t or t
not (t or t)
t if not f else f
s[1:3:1][0]
l[-2:]|first
s.lower().replace('w', 'W').split()|last|upper
"a,b;c".replace(';', ',').split(',')|map('upper')|join('+')
{'a': {'b': {'c': [1, {'d': 'deep'}]}}}.a.b.c[1].d
{'a': 1}.get('a') + {'b': 2}['b']
[1, [2, [3]]]|string
('a', 1)
('a')
"%.2f"|format(3.14159)
"%s items" % l|length
3|string + 'x'
"{:.1f}%".format(45.678)
5 is number and 5 is not string
users|map(attribute='age')|sum / users|length
users|map(attribute='name')|map('lower')|sort|join(' ')
users|selectattr('age', 'gt', 26)|map(attribute='name')|list|tojson
"abc"[1]
"abc"[-1:]
"abc"[::-1]|upper
1 if none is none else 2
"\u4f60\u597d"
'a\
b'
"""

# Whole templates over VALUES.
TEMPLATES = [
    "", "\n", "\n\n", "a\n", "a\n\n", "{{ 1 }}\n", "a\r\nb\rc\r\n", "{# c #}\na", "a{# c #}b", "a {#- c -#} b", "{#+ c +#}\nx",
    "  {% if t %}  \n  x\n  {% endif %}\n", "a {% if t %} b {% endif %} c", "a {%- if t -%} b {%- endif -%} c",
    "  {%+ if t %}x{% endif %}", "{% if t +%}\nx{% endif %}", "\n  {%- if t %}\nx{% endif -%}\n  y", "x\n   {{- s -}}   \n y",
    "  {{ 1 }}\n  {# c #}\n  {% set a = 1 %}\n  {{ a }}", "\t{% set a = 1 %}\t\n\tb", "a\n{% set b = 1 %}\n\nc", "{{-1}}", "{{+1}}",
    "a  {{-1}}", "{% raw %}{{ x }}{% y %}{% endraw %}", "{% raw %}\n a\n{% endraw %}\n b", "  {%- raw -%}  x  {%- endraw -%}  y",
    "{% raw %}{{ x }}", "{# open", "{{ '}}' }}", "{{ '%}' }}", "{{ {'a': {'b': 1}}.a.b }}", "{% if t %}a", "{% endif %}", "{% if %}a{% endif %}",
    "{% nosuch %}", "{{ }}", "{{", "{%", "{", "{ {", "}} %} #}", "{{ s", "{% if t }}x{% endif %}", "{{ (1 }}", "{{ 1) }}", "{{ [1} }}",
    "{% if f %}a{% elif i == 7 %}b{% else %}c{% endif %}", "{% if f %}a{% elif f %}b{% else %}c{% endif %}", "{% if missing %}a{% else %}b{% endif %}",
    "{% if t: %}a{% endif %}", "{% if l %}y{% endif %}{% if not el %}n{% endif %}", "{% if nope.x %}{% endif %}",
    "{% for a in l %}{{ a }}{% endfor %}", "{% for a in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for a in l %}{{ loop.previtem }}<{{ a }}>{{ loop.nextitem }} {% endfor %}", "{% for a in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for a in l %}{{ loop.cycle('x', 'y') }}{% endfor %}", "{% for a in l %}{{ loop.cycle() }}{% endfor %}", "{% for a in [1, 1, 2] %}{{ loop.changed(a) }} {% endfor %}",
    "{% for a in el %}x{% else %}none{% endfor %}", "{% for a in l %}x{% else %}none{% endfor %}", "{% for a in missing %}x{% else %}none{% endfor %}",
    "{% for a in none %}x{% endfor %}", "{% for a in 5 %}x{% endfor %}", "{% for a in 'abc' %}{{ a }}.{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}x{% endfor %}", "{% for a, b in [1] %}x{% endfor %}", "{% for a in l if a > 1 %}{{ loop.index }}:{{ a }}/{{ loop.length }} {% endfor %}",
    "{% for a in l if a > 9 %}x{% else %}none{% endfor %}", "{% for a in l %}{% if a == 1 %}{% break %}{% endif %}{{ a }}{% endfor %}",
    "{% for a in l %}{% if a == 1 %}{% continue %}{% endif %}{{ a }}{% endfor %}", "{% for a in l %}{% break %}{% else %}E{% endfor %}", "{% break %}",
    "{% for a in l %}{% for b in l %}{{ loop.index }}{% if b == a %}{% break %}{% endif %}{% endfor %}|{{ loop.index }} {% endfor %}",
    "{% for a in l %}{% set q = a %}{% endfor %}{{ q }}", "{% set q = 0 %}{% for a in l %}{{ q }}{% set q = a %}{% endfor %}{{ q }}",
    "{% set ns = namespace(q=0) %}{% for a in l %}{% set ns.q = ns.q + a %}{% endfor %}{{ ns.q }}", "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}",
    "{% set q.x = 1 %}", "{% set d.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set (a, b) = 'xy' %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}", "{% set a %}x{{ s }}{% endset %}[{{ a }}]", "{% set a | upper %}x{{ s }}{% endset %}{{ a }}", "{% set a | upper | replace('X', 'y') %}x{% endset %}{{ a }}",
    "{% set a %}{% set inner = 5 %}{{ inner }}{% endset %}{{ a }}{{ inner }}", "{% set true = 1 %}", "{% set 1 = 1 %}", "{% set a = %}", "{% set s = s ~ '!' %}{{ s }}",
    "{% if t %}{% set q = 1 %}{% endif %}{{ q }}", "{% if f %}{% set q = 1 %}{% endif %}{{ q }}|{{ q is defined }}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% set a = 5 %}{% with a = 1, b = a %}{{ b }}{% endwith %}", "{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aca{% endfilter %}", "{% filter nosuch %}a{% endfilter %}",
    "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c=4) }}{{ m(a=9) }}{{ m() }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(z=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2, 3) }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(4) }}",
    "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m(l) %}{% for a in l %}{{ caller(a) }};{% endfor %}{% endmacro %}{% call(a) m([1, 2]) %}<{{ a }}>{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ q }}{% endmacro %}{% set q = 3 %}{{ m() }}", "{% macro m() %}{% set q = 4 %}{{ q }}{% endmacro %}{{ m() }}{{ q }}", "{% for a in l %}{% macro m() %}{{ a }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m(x) %}\n  {%- if x %}\n  y\n  {%- endif %}\n{% endmacro %}[{{ m(1) }}]", "{% macro m() %} a {% endmacro %}{{ m()|trim }}|{{ m()|length }}", "{{ m() }}{% macro m() %}late{% endmacro %}",
    "{% macro m() %}{% endmacro %}{{ m }}|{{ m.name }}", "{% macro m(a, b) %}{{ a }}-{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(1, *[2]) }}", "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}{{ inner is defined }}",
    "{% for a in [[1, [2]], 3] recursive %}{% if a is iterable %}({{ loop(a) }}){% else %}{{ a }}@{{ loop.depth }}{% endif %}{% endfor %}", "{% for a in [1] %}{{ loop([2]) }}{% endfor %}",
    "{% for a in [{'n': 1, 'c': [{'n': 2, 'c': []}]}] recursive %}<{{ a.n }}{{ loop(a.c) }}>{% endfor %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.current }}", "{% set j = joiner('|') %}{% for a in l %}{{ j() }}{{ a }}{% endfor %}",
    "{% generation %}x{{ s }}{% endgeneration %}", "a\n{% generation %}\n  b\n{% endgeneration %}\nc", "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q }}", "{% for a in l %}{% generation %}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% block b %}x{{ s }}{% endblock %}", "{% block b %}x{% endblock b %}", "{% print 1, 2 %}", "{% autoescape false %}{{ html }}{% endautoescape %}", "{% for loop in l %}{% endfor %}",
    "{% set x = l|map('string') %}{{ x|list }}{{ x|list }}", "{% set g = l|select %}{{ g|first }}{{ g|list }}", "{% set r = l|reverse %}{{ r|list }}{{ r|list }}", "{{ (l|map('string'))[0] is undefined }}",
    "{% if t %}{{ s|nosuch }}{% endif %}", "{% if f %}{{ s|nosuch }}{% endif %}ok", "{{ s|nosuch if f else 'ok' }}", "{% if f %}{{ s is nosuch }}{% endif %}ok", "{% if f %}{% for a in l %}{{ a|nosuch }}{% endfor %}{% endif %}ok",
    "{% for a in l %}{{ a }}{% if not loop.last %}, {% endif %}{% endfor %}", "{%- for a in l -%}\n  {{ a }}\n{%- endfor -%}", "{% for a in l %}\n  {{ a }}\n{% endfor %}\n", "{% for a in l -%}\n  {{ a }}\n{%- endfor %}\n",
    "{% for g in users|groupby('age') %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join('+') }};{% endfor %}", "{% for a, us in users|groupby('age') %}{{ a }}:{{ us|length }};{% endfor %}",
    "{% for row in [1, 2, 3]|batch(2, '-') %}{{ row|join }};{% endfor %}", "{% for k, v in d|dictsort %}{{ k }}{{ v }}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}{{ i }}", "{% for a in l|sort|reverse %}{{ a }}{% endfor %}",
    "{% for a in l, 5 %}{{ a }};{% endfor %}", "{% for a in (1, 2) %}{{ a }}{% endfor %}", "{% for a in l if loop.first %}{{ a }}{% endfor %}", "{% for a in l %}{% for b in l if b > loop.index %}{{ b }}{% endfor %};{% endfor %}",
    "{{ namespace is callable }}", "{% set ns = namespace(a=1, b=[1]) %}{{ ns }}", "{% set ns = namespace(found=false) %}{% for a in l %}{% if a == 2 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}",
    "{{ raise_exception('no: ' ~ s) }}", "{% if t %}{{ raise_exception('stop') }}{% endif %}", "{%- set ns = namespace(s='') -%}{%- for a in words -%}{%- set ns.s = ns.s ~ a[0]|upper -%}{%- endfor -%}{{ ns.s }}",
    "{{ strftime_now('%%') }}", "{{ strftime_now('%Y')|int > 2000 }}", "{{ strftime_now('') }}", "{{ strftime_now() }}", "{{ l.extend([1]) }}", "{% do l.append(1) %}", "{% set _ = l.append(1) %}",
    "{% call s.upper() %}{% endcall %}", "{% call 5 %}{% endcall %}", "{% macro m() %}{% break %}{% endmacro %}", "{% for a in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for a in l %}{% set x %}{% break %}{% endset %}{% endfor %}ok",
    "{{ '{{ not code }}' }}", "{{ \"{% not code %}\" }}", "{{ '{#' }}", "a{{ '' }}\nb", "{{ none }}", "{{ s }}{{ none }}{{ missing }}{{ t }}", "{% set a = none %}{{ a is none }}{{ a }}", "日本{{ u }}語\n", "\ufeff{{ s }}",
    "{{ messages[0]['content'] }}", "{{ m[0].content + m[1].content[0].text }}", "{% for x in m %}{{ x.role }}{% if x.content is string %}{{ x.content }}{% else %}{% for c in x.content %}{{ c.type }}{% if c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}{% endif %}{% endfor %}",
    "{% if m[0].role == 'system' %}{% set rest = m[1:] %}{% set sys = m[0].content %}{% else %}{% set rest = m %}{% endif %}{{ sys }}{{ rest|length }}", "{% set x = {'a': 1} %}{% set x = dict(x, b=2) %}{{ x }}", "{% set x = [] %}{% for a in l %}{% set x = x + [a] %}{% endfor %}{{ x }}",
    "{%- if tools is defined and tools -%}a{%- else -%}b{%- endif -%}", "{%- if tools is defined and tools is not none -%}a{%- else -%}b{%- endif -%}", "{{ bos_token }}x", "{{ (bos_token or '') + 'x' }}", "{{ tools|tojson if tools else '' }}",
    "{% for x in m %}{{ loop.index0 % 2 == 0 }}{{ (x.role == 'user') != (loop.index0 % 2 == 0) }}{% endfor %}", "{{ {'role': 'user'} | tojson }}", "{% set c = '<think>a</think>b' %}{{ c.split('</think>')[-1].lstrip('\\n') }}{{ c.split('</think>')[0].split('<think>')[-1] }}",
    "{%- macro r(o) -%}{%- if o is mapping -%}{ {%- for k, v in o|dictsort -%}{{ k }}:{{ r(v) }}{%- if not loop.last -%},{%- endif -%}{%- endfor -%} }{%- elif o is iterable and o is not string -%}[{%- for v in o -%}{{ r(v) }}{%- endfor -%}]{%- else -%}{{ o|tojson }}{%- endif -%}{%- endmacro -%}{{ r(d) }}{{ r(nested) }}",
    "{{ 1 }}{%- set a = 1 %}\n{{ a }}", "a\n\n  {%- if t %}\n\nb\n\n  {%- endif %}\n\nc", "{%- if t %}\n    x\n{%- endif %}\n", "{{ 'a' -}}\n\n b", "a\n {#- x #}\nb", "a {# x -#}\n b", "{% if t %}{# c #}{% endif %}x", "\u3000{%- if t %}x{% endif %}", "x\u00a0\n{%- if t %}y{% endif %}",
    "{% for a in l %}{{ a }}\n{% endfor %}end\n", "{% if t %}\n\n{% endif %}x", "{%if t%}a{%endif%}", "{%-if t-%}a{%-endif-%}", "{{1}}{{  2  }}", "{%\nif\nt\n%}a{% endif %}", "{{\n1\n+\n2\n}}", "{{ 'multi\nline' }}", "{{ undefined_function(1) }}", "{{ s.nosuch() }}", "{{ d.nosuch() }}", "{{ none.x() }}", "{{ 5() }}",
    "{% include 'a' %}", "{% import 'a' as b %}", "{% extends 'a' %}", "{% from 'a' import b %}",
]

GLM = """[gMASK]<sop>
{%- for msg in messages %}
    {%- if msg.role == 'system' %}
<|system|>
{{ msg.content }}
    {%- elif msg.role == 'user' %}
<|user|>{{ '\\n' }}
        {%- if msg.content is string %}
{{ msg.content }}
        {%- else %}
            {%- for item in msg.content %}
                {%- if item.type == 'video' or 'video' in item %}
<|begin_of_video|><|video|><|end_of_video|>
                {%- elif item.type == 'image' or 'image' in item %}
<|begin_of_image|><|image|><|end_of_image|>
                {%- elif item.type == 'text' %}
{{ item.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
    {%- elif msg.role == 'assistant' %}
        {%- if msg.metadata %}
<|assistant|>{{ msg.metadata }}
{{ msg.content }}
        {%- else %}
<|assistant|>
{{ msg.content }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}<|assistant|>
{% endif %}
"""
LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""
LLAMA3 = """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

TALK = {"messages": [{"role": "system", "content": "SYS"}, {"role": "user", "content": " Hi\n"},
                     {"role": "assistant", "content": "<think>T</think><answer>A</answer>"}, {"role": "user", "content": "日本"}],
        "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
PICTURE = {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "TXT"}]}],
           "add_generation_prompt": True}
WRONG = {"messages": [{"role": "assistant", "content": "x"}], "bos_token": "<s>", "eos_token": "</s>"}


def language_cases():
    lines = EXPRESSIONS.strip("\n").split("\n")
    expressions = []
    for line in lines:  # a backslash at the end continues the line, as in the one case that needs it
        if expressions and expressions[-1].endswith("\\"):
            expressions[-1] += "\n" + line
        else:
            expressions.append(line)
    for expression in expressions:
        yield "{{ " + expression + " }}", VALUES
    for template in TEMPLATES:
        yield template, VALUES
    for template in (GLM, LLAMA2, LLAMA3):
        for context in (TALK, PICTURE, WRONG):
            yield template, context
