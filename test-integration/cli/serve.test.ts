import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Place } from './sluice.ts';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.leave());

const notes = (): string[] => readdirSync(join(place.folder, 'state/sluice/servers'));

describe('sluice serve', () => {
  it('makes an authority whose key only its user can read', async () => {
    await place.serve();
    expect(statSync(join(place.folder, 'data/tls/ca-key.pem')).mode & 0o077).toBe(0);
  });

  it('leaves a note for the commands of its user while it runs', async () => {
    const { running } = await place.serve();
    expect(notes()).toHaveLength(2); // QUIC and TLS
    running.child.kill('SIGTERM');
    await running.finished;
    expect(notes()).toEqual([]);
  });

  it('serves also where no note can be left', async () => {
    const { running, quic } = await place.serve([], { XDG_STATE_HOME: '/dev/null' });
    const ca = join(place.folder, 'data/tls/ca.pem');
    expect((await place.run(['pub', 'a', 'x', '--server', quic, '--ca', ca])).exitCode).toBe(0);
    running.child.kill('SIGTERM');
    expect((await running.finished).exitCode).toBe(0);
  });

  it('writes nothing but the ready line to stdout', async () => {
    const { running, pid } = await place.serve();
    running.child.kill('SIGTERM');
    const { stdout } = await running.finished;
    expect(JSON.parse(stdout)).toMatchObject({ evt: 'node.ready', pid });
  });

  it('has collected the garbage of starting when clients may come', async () => {
    const trace = `data:text/javascript,import{setFlagsFromString}from'node:v8';setFlagsFromString('--trace-gc')`;
    const running = place.start(['serve', '--data', 'data', '--quic', '127.0.0.1:0', '--http', 'off'], {
      NODE_OPTIONS: `--import=${trace}`,
    });
    const lines = (await running.until(/node\.ready/)).split('\n');
    const ready = lines.findIndex((line) => line.includes('node.ready'));
    expect(lines.slice(0, ready).findLast((line) => line.includes(' ms: '))).toContain('Mark-Compact');
  });

  it('answers health, readiness and metrics over HTTP', async () => {
    const { http, quic } = await place.serve();
    await place.run(['pub', 'counted', 'x', '--server', quic]);
    expect((await fetch(`${http}/healthz`)).status).toBe(200);
    expect((await fetch(`${http}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${http}/metrics`)).text()).toMatch(/^sluice_records_in_total(\{[^}]*\})? 1$/m);
  });

  it('drains on SIGTERM: what was published is answered, then it exits with 0', async () => {
    const { running, quic } = await place.serve([], { SLUICE_DRAIN_TIMEOUT: '1s' });
    const publishing = place.start(['pub', 'drained', '-o', 'json', '--server', quic]);
    publishing.child.stdin!.write('one\n');
    const reader = [
      'sub',
      'drained',
      '--from',
      'earliest',
      '--count',
      '1',
      '--timeout',
      '20s',
      '--server',
      quic,
    ];
    expect((await place.run(reader)).stdout).toBe('one\n');
    running.child.kill('SIGTERM');
    expect((await running.finished).exitCode).toBe(0);
    publishing.child.kill('SIGINT');
    expect(JSON.parse((await publishing.finished).stdout)).toMatchObject({ records: 1 });
  });

  it('drains on Ctrl-C', async () => {
    const { running } = await place.serve();
    running.child.kill('SIGINT');
    expect((await running.finished).exitCode).toBe(0);
  });

  it('keeps topics over a restart', async () => {
    const first = await place.serve();
    await place.run(['topic', 'create', 'kept', '--partitions', '3', '--server', first.quic]);
    first.running.child.kill('SIGTERM');
    await first.running.finished;
    const second = await place.serve();
    const run = await place.run(['topic', 'describe', 'kept', '-o', 'json', '--server', second.quic]);
    expect((JSON.parse(run.stdout) as { partitions: unknown[] }).partitions).toHaveLength(3);
  });

  it('starts again after kill -9, with nothing to clean up', async () => {
    const first = await place.serve();
    first.running.child.kill('SIGKILL');
    await first.running.finished;
    const second = await place.serve();
    expect((await place.run(['status', '--server', second.quic])).exitCode).toBe(0);
  });

  it('refuses a data directory that another node uses', async () => {
    await place.serve();
    const run = await place.run([
      'serve',
      '--data',
      'data',
      '--quic',
      '127.0.0.1:0',
      '--http',
      '127.0.0.1:0',
    ]);
    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(errorLine(run.stderr, 'DATA_DIR_LOCKED').match(/--data/g)).toHaveLength(1);
  });

  it('refuses an address that is taken', async () => {
    const { quic } = await place.serve();
    const taken = quic.replace('quic://', '');
    const run = await place.run(['serve', '--data', 'other', '--quic', taken, '--http', '127.0.0.1:0']);
    expect(run.exitCode).toBe(1);
    const line = errorLine(run.stderr, 'ADDRESS_IN_USE');
    expect(line.split(taken)).toHaveLength(2);
    expect(line).toContain('quic.listen');
  });

  it('refuses to listen beyond this machine without authentication, before it makes anything', async () => {
    const run = await place.run(['serve', '--data', 'open', '--quic', '0.0.0.0:0', '--http', '127.0.0.1:0']);
    expect(run).toMatchObject({ exitCode: 2, stdout: '' });
    expect(run.stderr).toMatch(/^sluice: INVALID_CONFIG: [^\n]*--allow-anonymous[^\n]*\n$/);
    expect(existsSync(join(place.folder, 'open'))).toBe(false);
  });

  it('listens beyond this machine when that is said', async () => {
    const { quic } = await place.serve(['--quic', '0.0.0.0:0', '--allow-anonymous']);
    const local = quic.replace('0.0.0.0', '127.0.0.1');
    expect((await place.run(['status', '--server', local])).exitCode).toBe(0);
  });

  it('names every fault of its settings at once', async () => {
    const run = await place.run(['serve', '--quic', 'nowhere', '--log-level', 'loud'], '', {
      SLUICE_FROBNICATE: '1',
    });
    expect(run.exitCode).toBe(2);
    for (const name of ['quic.listen', 'log.level', 'SLUICE_FROBNICATE']) expect(run.stderr).toContain(name);
  });
});

/** The line for people; lines of the log stand before it. */
function errorLine(stderr: string, code: string): string {
  const line = stderr.split('\n').find((each) => each.startsWith(`sluice: ${code}: `));
  expect(line).toBeDefined();
  return line!;
}
