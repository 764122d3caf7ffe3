#include "server/docs/docs_page.h"

namespace sluice::docs {
namespace {

constexpr std::string_view kPage = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Sluice API</title>
<style>
:root { color-scheme: light dark; --line: #8884; --quiet: #767676; --accent: #0a7d5a; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1rem; text-transform: uppercase; letter-spacing: .08em; color: var(--quiet); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; }
.inside { padding: 0 .75rem .75rem; }
code, textarea, pre, input { font: 13px/1.5 ui-monospace, monospace; }
.method { display: inline-block; min-width: 3.2rem; font-weight: 700; color: var(--accent); }
.about { color: var(--quiet); margin-left: .75rem; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
td { border-top: 1px solid var(--line); padding: .25rem .5rem .25rem 0; vertical-align: top; }
textarea { width: 100%; min-height: 8rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); border-radius: .4rem; padding: .5rem; max-height: 24rem; overflow: auto; }
button { font: inherit; padding: .25rem 1rem; margin-right: .5rem; }
label input { width: 16rem; max-width: 100%; }
</style>
</head>
<body>
<h1>Sluice <small id="version"></small></h1>
<p>Language models behind the API that OpenAI's clients speak. The same as data: <a href="openapi.json">/openapi.json</a>.</p>
<label>API key <input id="key" type="password" autocomplete="off" placeholder="only if the server asks for one"></label>
<main id="routes"><p>Loading…</p></main>
<script>
'use strict';
const make = (tag, attributes, ...children) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
};
const headers = () => {
  const key = document.getElementById('key').value;
  return key ? {authorization: 'Bearer ' + key} : {};
};
const typeOf = (schema) => {
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' | ');
  if (schema.enum) return schema.enum.filter((word) => word !== null).join(' | ');
  if (schema.items) return typeOf(schema.items) + '[]';
  return [].concat(schema.type || 'any').filter((t) => t !== 'null').join(' | ');
};
const boundsOf = (schema) =>
  schema.minimum === undefined && schema.maximum === undefined || schema.maximum > 1e9 ? '' : ` ${schema.minimum ?? ''}…${schema.maximum ?? ''}`;

// The text a piece of a streamed or whole answer adds, for people to read.
const answerText = (piece) => (piece.choices || [])
  .map((c) => (c.delta && c.delta.content) || (c.message && c.message.content) || c.text || '').join('');

async function readStream(response, show) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '', text = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split('\n\n');
    rest = events.pop();
    for (const event of events) {
      if (!event.startsWith('data: ') || event === 'data: [DONE]') continue;
      const piece = JSON.parse(event.slice(6));
      text += piece.error ? '\n' + piece.error.message : answerText(piece);
      show(text);
    }
  }
}

function tryIt(method, path, example) {
  const body = make('textarea', {value: JSON.stringify(example, null, 2) || '', hidden: method !== 'POST', spellcheck: false});
  const address = make('input', {value: path, hidden: !path.includes('{')});
  const out = make('pre', {hidden: true});
  const send = make('button', {type: 'button', textContent: 'Send'});
  const stop = make('button', {type: 'button', textContent: 'Stop', disabled: true});
  let control;
  stop.onclick = () => control.abort();
  send.onclick = async () => {
    control = new AbortController();
    send.disabled = true; stop.disabled = false; out.hidden = false; out.textContent = '…';
    const started = performance.now();
    let first = 0;
    try {
      const options = {method, headers: headers(), signal: control.signal};
      if (method === 'POST') { options.body = body.value; options.headers['content-type'] = 'application/json'; }
      const response = await fetch(address.value, options);
      const head = `${response.status} ${response.statusText}`;
      if ((response.headers.get('content-type') || '').startsWith('text/event-stream')) {
        await readStream(response, (text) => {
          first = first || performance.now() - started;
          out.textContent = `${head} · first token ${first.toFixed(0)} ms\n\n${text}`;
        });
      } else {
        const text = await response.text();
        let shown = text;
        try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it came */ }
        out.textContent = `${head} · ${(performance.now() - started).toFixed(0)} ms\n\n${shown}`;
      }
    } catch (error) {
      out.textContent += `\n\n${error.name === 'AbortError' ? 'Stopped.' : error.message}`;
    }
    send.disabled = false; stop.disabled = true;
  };
  return [address, body, make('p', {}, send, stop), out];
}

function describe(api, path, method, operation) {
  const inside = make('div', {className: 'inside'});
  const content = operation.requestBody && operation.requestBody.content['application/json'];
  let example;
  if (content) {
    const schema = api.components.schemas[content.schema.$ref.split('/').pop()];
    const rows = Object.entries(schema.properties).map(([name, field]) => make('tr', {},
      make('td', {}, make('code', {textContent: name + ((schema.required || []).includes(name) ? ' *' : '')})),
      make('td', {}, make('code', {textContent: typeOf(field) + boundsOf(field)})),
      make('td', {textContent: field.description || ''})));
    inside.append(make('details', {}, make('summary', {textContent: 'Fields'}), make('div', {className: 'inside'}, make('table', {}, ...rows))));
    example = content.example;
    if (example && example.model === '') delete example.model;
  }
  inside.append(...tryIt(method.toUpperCase(), path, example));
  return make('details', {}, make('summary', {},
    make('span', {className: 'method', textContent: method.toUpperCase()}), make('code', {textContent: path}),
    make('span', {className: 'about', textContent: operation.summary})), inside);
}

async function load() {
  const main = document.getElementById('routes');
  const response = await fetch('openapi.json', {headers: headers()});
  if (!response.ok) { main.replaceChildren(make('p', {textContent: `openapi.json: ${response.status}. Enter the API key.`})); return; }
  const api = await response.json();
  document.getElementById('version').textContent = api.info.version;
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ['other'])[0];
      if (!groups.has(tag)) groups.set(tag, make('section', {}, make('h2', {textContent: tag})));
      groups.get(tag).append(describe(api, path, method, operation));
    }
  }
  main.replaceChildren(...groups.values());
}
document.getElementById('key').onchange = load;
load();
</script>
</body>
</html>
)html";

}  // namespace

std::string_view page() { return kPage; }

std::string_view content_security_policy() {
  return "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src "
         "data:; base-uri 'none'; "
         "form-action 'none'; frame-ancestors 'none'";
}

}  // namespace sluice::docs
