import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { QueueDescription } from '../../src/client/index.ts';
import type { Finished } from './sluice.ts';
import { jsonLines, ServedPlace } from './sluice.ts';

let place: ServedPlace;
beforeAll(async () => {
  place = await ServedPlace.open();
});
afterAll(() => place.leave());

interface Received {
  value: string;
  offset: number;
  attempt: number;
  token: string;
}

const run = (...argv: string[]): Promise<Finished> => place.ask(...argv);

/** Runs a command that has nothing to complain of. */
const sluice = (...argv: string[]): Promise<string> => place.sluice(...argv);

async function publish(topic: string, ...values: string[]): Promise<void> {
  await sluice('pub', topic, ...values, '--quiet');
}

/** Takes one record and leaves it leased. */
async function keep(topic: string, ...more: string[]): Promise<Received> {
  const taken = await sluice('queue', 'receive', topic, '--keep', '-o', 'json', '--wait', '30s', ...more);
  return jsonLines<Received>(taken)[0]!;
}

async function describeQueue(topic: string, ...more: string[]): Promise<QueueDescription> {
  return JSON.parse(await sluice('queue', 'describe', topic, '-o', 'json', ...more)) as QueueDescription;
}

describe('sluice queue receive', () => {
  it('prints records and acknowledges them', async () => {
    await publish('jobs', 'a', 'b', 'c');
    expect(await sluice('queue', 'receive', 'jobs')).toBe('a\n');
    const [record] = jsonLines<Received>(await sluice('queue', 'receive', 'jobs', '-o', 'json'));
    expect(record).toMatchObject({ value: 'b', offset: 1, attempt: 1 });
    expect(record).not.toHaveProperty('token');
    expect(await sluice('queue', 'receive', 'jobs', '--max', '10')).toBe('c\n');
    expect(await describeQueue('jobs')).toMatchObject({ ready: 0, leased: 0, partitions: [{ floor: 3 }] });
  });

  it('says that there is nothing, which is no failure', async () => {
    await publish('idle', 'a');
    await sluice('queue', 'receive', 'idle');
    const finished = await run('queue', 'receive', 'idle');
    expect(finished).toMatchObject({ exitCode: 0, stdout: '' });
    expect(finished.stderr).toMatch(/^sluice: nothing to be had; --wait [^\n]+\n$/);
  });

  it('waits for a record, and stops waiting on Ctrl-C', async () => {
    const argv = ['queue', 'receive', 'late', '--wait', '60s', ...place.server];
    const waiting = place.start(argv);
    await publish('late', 'at last');
    expect(await waiting.finished).toMatchObject({ exitCode: 0, stdout: 'at last\n' });
    const stopped = place.start(argv);
    // It has begun to wait when the queue knows of it.
    while ((await describeQueue('late')).waitingConsumers === 0);
    stopped.child.kill('SIGINT');
    expect(await stopped.finished).toMatchObject({ exitCode: 130, stdout: '', stderr: '' });
  });

  it('gives each group all records', async () => {
    await publish('both', 'a');
    for (const group of ['mail', 'audit']) {
      expect(await sluice('queue', 'receive', 'both', '--group', group)).toBe('a\n');
    }
  });

  it('finds a record that is delayed later, and one whose time is over never', async () => {
    await publish('timed', 'later', '--deliver-at', '1h');
    await publish('timed', 'too late', '--ttl', '1ms');
    await publish('timed', 'now', '--ttl', '1h', '--deliver-at', '2026-01-01T00:00:00Z');
    expect(await sluice('queue', 'receive', 'timed', '--max', '10', '--wait', '30s')).toBe('now\n');
    expect(await describeQueue('timed')).toMatchObject({ ready: 0, delayed: 1 });
  });
});

describe('records that are kept', () => {
  it('are acknowledged by their token, once', async () => {
    await publish('kept', 'a');
    const line = await sluice('queue', 'receive', 'kept', '--keep');
    const [token] = line.split('\t') as [string];
    expect(line).toBe(`${token}\ta\n`);
    expect(await describeQueue('kept')).toMatchObject({ ready: 0, leased: 1 });
    expect(await sluice('queue', 'ack', 'kept', token)).toBe('acknowledged 1 record\n');
    expect(await describeQueue('kept')).toMatchObject({ ready: 0, leased: 0 });
    const again = await run('queue', 'ack', 'kept', token, '-o', 'json');
    expect(again.exitCode).toBe(1);
    expect(JSON.parse(again.stdout)).toEqual({ settled: 0, refused: [{ token, code: 'LEASE_EXPIRED' }] });
    expect(again.stderr).toMatch(/^sluice: LEASE_EXPIRED: [^\n]+ sluice queue receive TOPIC\n$/);
  });

  it('come again with one attempt more after a nack, with none after a release', async () => {
    await publish('returned', 'a');
    const first = await keep('returned');
    await sluice('queue', 'release', 'returned', first.token);
    const second = await keep('returned');
    await sluice('queue', 'nack', 'returned', second.token, '--delay', '0');
    const third = await keep('returned');
    expect([first, second, third].map(({ attempt }) => attempt)).toEqual([1, 1, 2]);
    await sluice('queue', 'nack', 'returned', third.token, '--delay', '1h');
    expect(await describeQueue('returned')).toMatchObject({ ready: 0, delayed: 1 });
  });

  it('come again when their lease is over, which extending moves', async () => {
    await publish('expiring', 'short', 'long');
    const [short, long] = [await keep('expiring', '--lease', '1h'), await keep('expiring', '--lease', '1h')];
    await sluice('queue', 'extend', 'expiring', short.token, '--lease', '10ms');
    expect(await keep('expiring')).toMatchObject({ value: short.value, attempt: 2 });
    expect(await sluice('queue', 'ack', 'expiring', long.token)).toBe('acknowledged 1 record\n');
  });

  it('become dead letters when they are rejected', async () => {
    await publish('hopeless', 'a');
    const { token } = await keep('hopeless');
    await sluice('queue', 'reject', 'hopeless', token, '--reason', 'no such customer');
    const letter = await sluice('queue', 'receive', 'dlq.hopeless', '--wait', '30s', '-o', 'json');
    expect(jsonLines(letter)).toMatchObject([
      {
        value: 'a',
        headers: expect.arrayContaining([{ key: 'sluice-dlq-text', value: 'no such customer' }]) as unknown,
      },
    ]);
  });
});

describe('sluice queue consume', () => {
  it('prints and acknowledges, and leaves the rest to others', async () => {
    await publish('stream', 'a', 'b', 'c');
    const some = await sluice('queue', 'consume', 'stream', '--count', '2', '--timeout', '60s');
    const rest = await sluice('queue', 'consume', 'stream', '--count', '1', '--timeout', '60s', '-o', 'json');
    expect(some).toBe('a\nb\n');
    expect(jsonLines(rest)).toMatchObject([{ value: 'c', attempt: 1 }]);
  });

  it('gives back what nobody has read', async () => {
    const lines = 'a line of some length\n'.repeat(20_000);
    expect((await place.run(['pub', 'flood', '--quiet', ...place.server], lines)).exitCode).toBe(0);
    const running = place.start(['queue', 'consume', 'flood', ...place.server]);
    await running.until(/\n/);
    running.child.stdout!.destroy();
    expect(await running.finished).toMatchObject({ exitCode: 0, stderr: '' });
    const { ready, leased } = await describeQueue('flood');
    expect(leased).toBe(0);
    expect(ready).toBeGreaterThan(0);
  });

  it('runs a command for each record: exit code 0 acknowledges, others give back', async () => {
    await sluice('topic', 'create', 'commands');
    await sluice('queue', 'create', 'commands', '--max-attempts', '2', '--backoff', '10ms', '--lease', '20s');
    await publish('commands/k', 'good');
    await publish('commands/k', 'bad');
    const command =
      'read -r work; echo "$RECORD_KEY $RECORD_ATTEMPT $work"; [ "$work" = good ] || { echo is bad >&2; exit 3; }';
    const argv = ['queue', 'consume', 'commands', '--exec', command, '--count', '3', '--timeout', '60s'];
    const finished = await run(...argv);
    expect(finished).toMatchObject({ exitCode: 0, stdout: 'k 1 good\nk 1 bad\nk 2 bad\n' });
    expect(finished.stderr.split('\n')).toEqual([
      'is bad',
      'sluice: commands 0:1, attempt 1: exit code 3: is bad; given back',
      'is bad',
      'sluice: commands 0:1, attempt 2: exit code 3: is bad; given back',
      'sluice: 1 record done, 2 given back',
      '',
    ]);
    const letter = await sluice('queue', 'receive', 'dlq.commands', '--wait', '30s', '-o', 'json');
    expect(letter).toContain('{"key":"sluice-dlq-text","value":"exit code 3: is bad"}');
  });

  it('runs as many at once as it is told to', async () => {
    const meeting = join(place.folder, 'meeting');
    mkdirSync(meeting);
    await publish('crowd', 'a', 'b', 'c');
    const command = `touch ${meeting}/$RECORD_OFFSET; while [ $(ls ${meeting} | wc -l) -lt 3 ]; do sleep 0.05; done`;
    const argv = [
      'queue',
      'consume',
      'crowd',
      '--quiet',
      '--exec',
      command,
      '--count',
      '3',
      '--timeout',
      '30s',
    ];
    expect(await sluice(...argv, '--concurrency', '3')).toBe('');
  });

  it('counts no attempt where the command cannot be run', async () => {
    await publish('untried', 'a');
    writeFileSync(join(place.folder, 'no-program'), '');
    for (const command of ['no-such-command-here', './no-program']) {
      const finished = await run('queue', 'consume', 'untried', '--exec', command);
      expect(finished).toMatchObject({ exitCode: 2, stdout: '' });
      expect(finished.stderr).toMatch(/\nsluice: INVALID_ARGUMENT: --exec: exit code 12[67]: [^\n]+\n$/);
    }
    expect(await keep('untried')).toMatchObject({ attempt: 1 });
  });

  it('ends its commands on Ctrl-C, and gives back what they were at', async () => {
    await publish('ended', 'a');
    const running = place.start([
      'queue',
      'consume',
      'ended',
      '--exec',
      'echo begun; sleep 600',
      ...place.server,
    ]);
    await running.until(/begun/);
    running.child.kill('SIGINT');
    expect(await running.finished).toMatchObject({
      exitCode: 130,
      stderr: 'sluice: 0 records done, 0 given back\n',
    });
    expect(await keep('ended')).toMatchObject({ attempt: 1 });
  });
});

describe('sluice queue', () => {
  it('configures, lists and describes queues, and forgets them', async () => {
    const made = await run(
      'queue',
      'configure',
      'made',
      '--ordered-by-key',
      '--max-attempts',
      '0',
      '-o',
      'json',
    );
    expect(made.stderr).toMatch(/^sluice: there was no topic made; it was created[^\n]*\n$/);
    expect(JSON.parse(made.stdout)).toMatchObject({
      settings: { orderedByKey: true, maxAttempts: 0, leaseMs: 30_000 },
    });
    await sluice('queue', 'configure', 'made', '--no-ordered-by-key', '--lease', '1m', '--max-backoff', '5m');
    const { settings } = await describeQueue('made');
    expect(settings).toMatchObject({
      orderedByKey: false,
      maxAttempts: 0,
      leaseMs: 60_000,
      maxBackoffMs: 300_000,
    });
    expect(await sluice('queue', 'describe', 'made')).toMatch(/^topic +made\n[^]*\nattempts +without end\n/);
    expect(await sluice('queue', 'list')).toMatch(/^made +default +0 +0 +0 /m);
    expect(await sluice('queue', 'delete', 'made')).toBe('deleted queue default of made; its records stay\n');
    const absent = await run('queue', 'describe', 'made');
    expect(absent).toMatchObject({ exitCode: 5, stdout: '' });
    expect(absent.stderr).toMatch(/^sluice: QUEUE_NOT_FOUND: [^\n]+ sluice queue list\n$/);
  });

  it('begins where it is told to when it is made', async () => {
    await publish('midway', 'a', 'b', 'c');
    await sluice('queue', 'configure', 'midway', '--from', '2');
    expect(await sluice('queue', 'receive', 'midway', '--max', '10')).toBe('c\n');
  });

  it('shows what is not done without taking it', async () => {
    await publish('shown/k', 'a', 'b');
    await sluice('queue', 'receive', 'shown');
    expect(await sluice('queue', 'peek', 'shown')).toMatch(/^RECORD +ATTEMPTS +KEY +VALUE\n0:1 +0 +k +b\n$/);
    expect(JSON.parse(await sluice('queue', 'peek', 'shown', '-o', 'json'))).toMatchObject([
      { offset: 1, value: 'b', attempts: 0 },
    ]);
    expect(await sluice('queue', 'receive', 'shown')).toBe('b\n');
  });
});
