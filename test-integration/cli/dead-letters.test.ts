import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { Finished } from './sluice.ts';
import { jsonLines, ServedPlace } from './sluice.ts';

let place: ServedPlace;
beforeAll(async () => {
  place = await ServedPlace.open();
});
afterAll(() => place.leave());

const run = (...argv: string[]): Promise<Finished> => place.ask(...argv);

/** Runs a command that has nothing to complain of. */
const sluice = (...argv: string[]): Promise<string> => place.sluice(...argv);

/** Publishes these values, and makes each of them a dead letter. */
async function reject(topic: string, ...values: string[]): Promise<void> {
  await sluice('pub', `${topic}/k`, ...values, '--quiet', '-H', 'mine=x');
  const taken = await sluice('queue', 'receive', topic, '--keep', '-o', 'json', '--max', '100');
  const tokens = jsonLines<{ token: string }>(taken).map(({ token }) => token);
  expect(tokens).toHaveLength(values.length);
  await sluice('queue', 'reject', topic, ...tokens, '--reason', 'no use');
  await eventually('they are dead letters', async () => (await letters(topic)).join() === values.join());
}

/** Values of the dead letters there are. */
async function letters(topic: string): Promise<string[]> {
  const listed = JSON.parse(await sluice('dlq', 'list', topic, '-o', 'json')) as { value: string }[];
  return listed.map(({ value }) => value);
}

describe('sluice dlq', () => {
  it('lists dead letters, and the topics that have some', async () => {
    await reject('listed', 'a', 'b');
    expect(await sluice('dlq', 'list', 'listed')).toMatch(
      /^RECORD +WAS +ATTEMPTS +REASON +SAID +KEY +VALUE\n0:0 +0:0 +1 +rejected +no use +k +a\n0:1 +0:1 +1 +rejected +no use +k +b\n$/,
    );
    expect(await sluice('dlq', 'list')).toMatch(/^listed +2 +dlq\.listed$/m);
    expect(JSON.parse(await sluice('dlq', 'list', '-o', 'json'))).toContainEqual({
      topic: 'listed',
      deadLetterTopic: 'dlq.listed',
      records: 2,
    });
    const some = await run('dlq', 'list', 'listed', '--max', '1', '-o', 'json');
    expect(JSON.parse(some.stdout)).toHaveLength(1);
    expect(some.stderr).toMatch(/^sluice: there are more than 1; --max [^\n]+\n$/);
  });

  it('tells a topic without dead letters from none', async () => {
    await sluice('topic', 'create', 'healthy');
    expect(await letters('healthy')).toEqual([]);
    expect(await run('dlq', 'list', 'nosuch')).toMatchObject({ exitCode: 5, stdout: '' });
  });

  it('shows one in full', async () => {
    await reject('peeked', 'a', 'b');
    const text = await sluice('dlq', 'peek', 'peeked');
    expect(text).toMatch(/^record +0:0\nwas +peeked 0:0\nreason +rejected\nsaid +no use\nattempts +1\n/);
    expect(text).toMatch(/\nkey +k\nheader mine +x\n\na\n$/);
    expect(JSON.parse(await sluice('dlq', 'peek', 'peeked', '0:1', '-o', 'json'))).toMatchObject({
      value: 'b',
      reason: 'rejected',
      attempts: 1,
      group: 'default',
      origin: { topic: 'peeked', partition: 0, offset: 1 },
    });
  });

  it('brings one back, or all, to where they came from', async () => {
    await reject('back', 'a', 'b', 'c');
    expect(await sluice('dlq', 'replay', 'back', '0:1')).toBe('replayed 1 record\n');
    expect(await letters('back')).toEqual(['a', 'c']);
    expect(JSON.parse(await sluice('dlq', 'replay', 'back', '--all', '-o', 'json'))).toEqual({ replayed: 2 });
    expect(await letters('back')).toEqual([]);
    const came = jsonLines(
      await sluice('queue', 'receive', 'back', '--max', '10', '--wait', '20s', '-o', 'json'),
    );
    expect(came).toMatchObject(
      ['b', 'a', 'c'].map((value) => ({
        value,
        key: 'k',
        headers: [{ key: 'mine', value: 'x' }],
        attempt: 1,
      })),
    );
  });

  it('brings them elsewhere', async () => {
    await reject('moved', 'a');
    await sluice('topic', 'create', 'elsewhere');
    await sluice('dlq', 'replay', 'moved', '--all', '--to', 'elsewhere');
    expect(await sluice('queue', 'receive', 'elsewhere', '--wait', '20s')).toBe('a\n');
  });

  it('forgets some, or all', async () => {
    await reject('forgotten', 'a', 'b', 'c');
    expect(await sluice('dlq', 'delete', 'forgotten', '0:1')).toBe('deleted 1 record\n');
    expect(await letters('forgotten')).toEqual(['a', 'c']);
    expect(await sluice('dlq', 'purge', 'forgotten')).toBe('deleted 2 records\n');
    expect(await letters('forgotten')).toEqual([]);
  });

  it('exports them as NDJSON that pub takes', async () => {
    await reject('exported', 'a', 'b');
    const exported = await sluice('dlq', 'export', 'exported');
    expect(jsonLines(exported)).toMatchObject([
      { value: 'a', key: 'k', headers: { mine: 'x', 'sluice-dlq-reason': 'rejected' } },
      { value: 'b' },
    ]);
    const fields = ['--key-field', 'key', '--value-field', 'value'];
    await place.run(['pub', 'copies', ...fields, '--quiet', ...place.server], exported);
    expect(await sluice('queue', 'receive', 'copies', '--max', '10')).toBe('a\nb\n');
  });

  it('ends an export quietly when nobody reads it any more', async () => {
    await reject('endless', ...Array.from({ length: 20 }, (_, at) => `${at} `.repeat(10_000)));
    const running = place.start(['dlq', 'export', 'endless', ...place.server]);
    await running.until(/./);
    running.child.stdout!.destroy();
    expect(await running.finished).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it.each([
    ['TOPIC_NOT_FOUND', ['dlq', 'peek', 'never', '0:0']],
    ['TOPIC_NOT_FOUND', ['dlq', 'replay', 'never', '--all']],
    ['TOPIC_NOT_FOUND', ['dlq', 'purge', 'never']],
    ['RECORD_NOT_FOUND', ['dlq', 'peek', 'never']],
  ])('says with %s and exit code 5 that there are none: %j', async (code, argv) => {
    expect(await run(...argv)).toMatchObject({ exitCode: 5, stdout: '', stderr: missing(code) });
  });

  it('says which it did not find, also after others', async () => {
    await reject('missing', 'a');
    expect(await run('dlq', 'peek', 'missing', '0:17')).toMatchObject({
      exitCode: 5,
      stdout: '',
      stderr: missing('RECORD_NOT_FOUND'),
    });
    expect(await run('dlq', 'replay', 'missing', '0:17')).toMatchObject({
      exitCode: 5,
      stdout: '',
      stderr: missing('RECORD_NOT_FOUND: none of these records '),
    });
    expect(await run('dlq', 'delete', 'missing', '0:17', '0:0', '0:0')).toMatchObject({
      exitCode: 5,
      stdout: 'deleted 1 record\n',
      stderr: missing('RECORD_NOT_FOUND: 1 of 2 records '),
    });
  });
});

/** What stderr says of dead letters that are not there. */
function missing(begin: string): string {
  return expect.stringMatching(new RegExp(`^sluice: ${begin}[^\\n]+: sluice dlq list[^\\n]*\\n$`)) as string;
}
