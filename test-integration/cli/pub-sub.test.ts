import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonLines, ServedPlace } from './sluice.ts';

let place: ServedPlace;
beforeAll(async () => {
  place = await ServedPlace.open();
});
afterAll(() => place.leave());

interface Printed {
  topic: string;
  partition: number;
  offset: number;
  key: string | null;
  value: string;
  headers?: { key: string; value: string }[];
}

async function read(filter: string, count: number, ...more: string[]): Promise<string> {
  const run = await place.run([
    'sub',
    filter,
    '--from',
    'earliest',
    '--count',
    `${count}`,
    '--timeout',
    '20s',
    ...more,
    ...place.server,
  ]);
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  return run.stdout;
}

async function publish(argv: readonly string[], input?: string | Buffer): Promise<Record<string, unknown>> {
  const run = await place.run(['pub', ...argv, '-o', 'json', ...place.server], input);
  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  return JSON.parse(run.stdout) as Record<string, unknown>;
}

describe('sluice pub and sub', () => {
  it('says that it created the topic that a subscription names', async () => {
    const subscribe = ['sub', 'unheard/of', '--timeout', '10ms', ...place.server];
    const [first, second] = [await place.run(subscribe), await place.run(subscribe)];
    expect(first).toMatchObject({ exitCode: 0, stdout: '' });
    expect(first.stderr).toMatch(/^sluice: [^\n]*no topic unheard; it was created[^\n]*\n$/);
    expect(second).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
  });

  it('creates it without a word when it is told to be quiet', async () => {
    const run = await place.run(['sub', 'unseen', '--quiet', '--timeout', '10ms', ...place.server]);
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('carry arguments, and need no certificates from anybody', async () => {
    expect(await publish(['arguments', 'one', 'two'])).toMatchObject({
      topic: 'arguments',
      records: 2,
      bytes: 6,
      partitions: [{ partition: 0, records: 2, firstOffset: 0, lastOffset: 1 }],
    });
    expect(await read('arguments', 2)).toBe('one\ntwo\n');
  });

  it('say how many records that were, also where it was one', async () => {
    const lines = await Promise.all(
      [['one'], ['one', 'two']].map((values) => place.run(['pub', 'counted', ...values, ...place.server])),
    );
    expect(lines[0]!.stdout).toMatch(/^1 record, 3 B, [\d,]+ records?\/s\n$/);
    expect(lines[1]!.stdout).toMatch(/^2 records, 6 B, [\d,]+ records?\/s\n$/);
  });

  it('carry lines of stdin', async () => {
    await publish(['lines'], 'a\nb\n\nd');
    expect(await read('lines', 4)).toBe('a\nb\n\nd\n');
  });

  it('carry NDJSON with the key from a field', async () => {
    await publish(
      ['flights', '--key-field', 'origin'],
      '{"origin":"LAX","delay":3}\n{"origin":"SFO","delay":4}\n',
    );
    const records = jsonLines<Printed>(await read('flights', 2, '-o', 'json'));
    expect(records.map(({ key, value }) => [key, value])).toEqual([
      ['LAX', '{"origin":"LAX","delay":3}'],
      ['SFO', '{"origin":"SFO","delay":4}'],
    ]);
  });

  it('publish the lines before one that does not fit, and say which that was', async () => {
    const run = await place.run(
      ['pub', 'broken', '--key-field', 'k', ...place.server],
      '{"k":"a"}\nnonsense\n{"k":"b"}\n',
    );
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(/^sluice: INVALID_ARGUMENT: Line 2 of stdin [^\n]+\n$/);
    expect(await read('broken', 1)).toBe('{"k":"a"}\n');
  });

  it('carry a file byte for byte', async () => {
    const bytes = Buffer.from([0, 255, 10, 13, 10]);
    writeFileSync(join(place.folder, 'bytes'), bytes);
    await publish(['files/bytes', '--whole-file', '--file', 'bytes']);
    const [record] = jsonLines<Record<string, unknown>>(await read('files', 1, '-o', 'json'));
    expect(record).toMatchObject({ key: 'bytes', valueBase64: bytes.toString('base64') });
  });

  it('carry headers, tombstones and a chosen partition', async () => {
    await place.run(['topic', 'create', 'shaped', '--partitions', '3', ...place.server]);
    await publish(['shaped/k', 'v', '-H', 'trace=a=b', '--partition', '2']);
    await publish(['shaped/k', '--tombstone', '--partition', '2']);
    const records = jsonLines<Printed>(await read('shaped', 2, '-o', 'json'));
    expect(records).toMatchObject([
      { partition: 2, key: 'k', value: 'v', headers: [{ key: 'trace', value: 'a=b' }] },
      { partition: 2, key: 'k', value: null },
    ]);
  });

  it.each(['none', 'gzip', 'zstd'])('carry 20,000 records with compression %s, in order', async (codec) => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `record ${index}`);
    const summary = await publish([`bulk-${codec}`, '--compression', codec], lines.join('\n'));
    expect(summary['records']).toBe(20_000);
    expect(await read(`bulk-${codec}`, 20_000)).toBe(`${lines.join('\n')}\n`);
  });

  it('tell the empty key from none', async () => {
    for (const address of ['slash', 'slash/', 'slash//']) await publish([address, 'x']);
    const keys = jsonLines<Printed>(await read('slash', 3, '-o', 'json')).map(({ key }) => key);
    expect(keys).toEqual([null, '', '/']);
    expect(jsonLines<Printed>(await read('slash/', 1, '-o', 'json'))).toMatchObject([{ key: '' }]);
  });

  it('filter by key', async () => {
    for (const room of ['room1', 'room2']) await publish([`sensors/${room}/temp`, room]);
    expect(await read('sensors/room2/#', 1)).toBe('room2\n');
  });

  it('begin at an offset, and at the latest record of each key', async () => {
    await publish(['starts', '--key-separator', '='], 'a=1\na=2\nb=3\n');
    expect(await read('starts', 1, '--from', '2')).toBe('3\n');
    expect(await read('starts', 2, '--from', 'last-per-key', '--key-separator', '=')).toBe('a=2\nb=3\n');
  });

  it('deliver what comes later to who is waiting', async () => {
    const waiting = place.start(['sub', 'live', '--from', 'earliest', '--count', '1', ...place.server]);
    await publish(['live', 'now']);
    expect(await waiting.finished).toMatchObject({ exitCode: 0, stdout: 'now\n' });
  });

  it('also run over TLS on TCP', async () => {
    const over = ['--server', place.node.tls!, '--ca', place.node.ca];
    expect((await place.run(['pub', 'tcp', 'hello', ...over])).exitCode).toBe(0);
    const run = await place.run([
      'sub',
      'tcp',
      '--from',
      'earliest',
      '--count',
      '1',
      '--timeout',
      '20s',
      ...over,
    ]);
    expect(run).toMatchObject({ exitCode: 0, stdout: 'hello\n' });
  });
});

describe('the end of sluice sub', () => {
  it('is 6 when fewer records came than were asked for', async () => {
    await publish(['few', 'one']);
    const run = await place.run([
      'sub',
      'few',
      '--from',
      'earliest',
      '--count',
      '2',
      '--timeout',
      '500ms',
      ...place.server,
    ]);
    expect(run).toMatchObject({ exitCode: 6, stdout: 'one\n' });
    expect(run.stderr).toMatch(/^sluice: TIMEOUT: 1 of 2 records [^\n]+\n$/);
  });

  it('is 0 when time is up and no count was asked for', async () => {
    expect((await place.run(['sub', 'few', '--timeout', '200ms', ...place.server])).exitCode).toBe(0);
  });

  it('is 130 on Ctrl-C', async () => {
    await publish(['interrupted', 'one']);
    const running = place.start(['sub', 'interrupted', '--from', 'earliest', ...place.server]);
    await running.until(/one\n/);
    running.child.kill('SIGINT');
    expect((await running.finished).exitCode).toBe(130);
  });

  it('is 0 and silent when the reader of its output is gone', async () => {
    await publish(['piped'], 'a line of some length\n'.repeat(50_000));
    const running = place.start(['sub', 'piped', '--from', 'earliest', ...place.server]);
    await running.until(/\n/);
    running.child.stdout!.destroy();
    expect(await running.finished).toMatchObject({ exitCode: 0, stderr: '' });
  });
});

describe('sluice pub when it is told to stop', () => {
  it('publishes what it has read', async () => {
    const running = place.start(['pub', 'stopped', ...place.server]);
    running.child.stdin!.write('first\n');
    const reader = await place.run([
      'sub',
      'stopped',
      '--from',
      'earliest',
      '--count',
      '1',
      '--timeout',
      '20s',
      ...place.server,
    ]);
    expect(reader.stdout).toBe('first\n');
    running.child.kill('SIGINT');
    expect((await running.finished).exitCode).toBe(130);
  });
});
