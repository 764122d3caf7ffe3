// The official npm client against a served model, whatever the model is. SLUICE_URL names the server
// (http://127.0.0.1:8000); SLUICE_API_KEY and SLUICE_MODEL are used when set. `npm ci && npm test`.
import assert from 'node:assert/strict';
import {before, test} from 'node:test';
import OpenAI from 'openai';

const url = (process.env.SLUICE_URL ?? 'http://127.0.0.1:8000').replace(/\/$/, '');
const client = new OpenAI({baseURL: `${url}/v1`, apiKey: process.env.SLUICE_API_KEY ?? 'EMPTY', maxRetries: 0});
const messages = [{role: 'user', content: 'Tell me about your day, please.'}];
let model;
let hasChat;

before(async () => {
  const cards = (await client.models.list()).data;
  const card = cards.find((one) => one.id === process.env.SLUICE_MODEL) ?? cards[0];
  model = card.id;
  hasChat = card.chat;
});

const needsChat = (context) => hasChat || (context.skip('the served model has no chat template'), false);
const greedy = (more = {}) => ({model, messages, temperature: 0, max_tokens: 24, ...more});

test('models are listed and shown', async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve('no/such-model'), (error) => error.status === 404 && error.code === 'model_not_found');
});

test('a stream spells the whole answer', async (context) => {
  if (!needsChat(context)) return;
  const whole = await client.chat.completions.create(greedy());
  assert.equal(whole.object, 'chat.completion');
  assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
  let text = '', finish = null, usage = null;
  for await (const chunk of await client.chat.completions.create(greedy({stream: true, stream_options: {include_usage: true}}))) {
    text += chunk.choices[0]?.delta.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(finish, whole.choices[0].finish_reason);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test('the stream helper puts the answer together', async (context) => {
  if (!needsChat(context)) return;
  const whole = await client.chat.completions.create(greedy());
  const stream = client.chat.completions.stream(greedy());
  assert.equal(await stream.finalContent(), whole.choices[0].message.content);
});

test('n choices and seeds', async (context) => {
  if (!needsChat(context)) return;
  const ask = greedy({temperature: 1, n: 3, seed: 5});
  const [one, two] = [await client.chat.completions.create(ask), await client.chat.completions.create(ask)];
  assert.deepEqual(one.choices.map((c) => c.index), [0, 1, 2]);
  assert.deepEqual(one.choices.map((c) => c.message.content), two.choices.map((c) => c.message.content));
});

test('logprobs', async (context) => {
  if (!needsChat(context)) return;
  const answer = await client.chat.completions.create(greedy({logprobs: true, top_logprobs: 2}));
  for (const token of answer.choices[0].logprobs.content) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 2);
  }
});

test('completions, whole and streamed, with echo', async () => {
  const ask = {model, prompt: 'Once upon a time', temperature: 0, max_tokens: 12};
  const whole = await client.completions.create(ask);
  let text = '';
  for await (const chunk of await client.completions.create({...ask, stream: true})) text += chunk.choices[0]?.text ?? '';
  assert.equal(text, whole.choices[0].text);
  const echoed = await client.completions.create({...ask, echo: true, logprobs: 1});
  assert.equal(echoed.choices[0].text, ask.prompt + whole.choices[0].text);
  assert.equal(echoed.choices[0].logprobs.token_logprobs[0], null);
});

test('embeddings', async (context) => {
  try {
    const answer = await client.embeddings.create({model, input: ['a cat', 'a dog']});  // the client decodes base64
    const length = Math.hypot(...answer.data[0].embedding);
    assert.ok(Math.abs(length - 1) < 1e-3, `length ${length}`);
    assert.equal(answer.data.length, 2);
  } catch (error) {
    if (error.status !== 501) throw error;
    context.skip('the served model makes no embeddings');
  }
});

test('an aborted stream ends', async (context) => {
  if (!needsChat(context)) return;
  const stream = await client.chat.completions.create(greedy({stream: true, max_tokens: 200, ignore_eos: true}));
  let chunks = 0;
  for await (const chunk of stream) {
    chunks += chunk.choices.length;
    if (chunks >= 2) break;  // the client closes the connection
  }
  assert.ok((await client.chat.completions.create(greedy({max_tokens: 1}))).choices.length === 1);
});

test('errors name what was wrong', async () => {
  const refused = async (more, param) => assert.rejects(client.chat.completions.create(greedy(more)),
    (error) => error instanceof OpenAI.BadRequestError && error.param === param && error.type === 'invalid_request_error');
  await refused({temperature: 9}, 'temperature');
  await refused({messages: [{role: 'user'}]}, 'messages[0].content');
  await refused({n: 1.5}, 'n');
  await assert.rejects(client.chat.completions.create(greedy({model: 'gpt-no-such'})), (error) => error instanceof OpenAI.NotFoundError);
});
