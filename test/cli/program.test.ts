import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { runHere } from './fake-terminal.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const COMMANDS = await commandsBelow([]);

describe('the command line', () => {
  it('prints the version of the package', async () => {
    expect(await runHere(['--version'])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('names every command in its help', () => {
    expect(COMMANDS.map((command) => command.join(' ')).sort()).toEqual([
      'bench',
      ...['init', 'issue', 'show'].map((name) => `certs ${name}`),
      ...['drain', 'nodes', 'rebalance', 'status'].map((name) => `cluster ${name}`),
      ...['reference', 'show'].map((name) => `config ${name}`),
      ...['delete', 'export', 'list', 'peek', 'purge', 'replay'].map((name) => `dlq ${name}`),
      ...['delete', 'describe', 'list', 'reset'].map((name) => `group ${name}`),
      ...['dump', 'verify'].map((name) => `log ${name}`),
      'pub',
      ...['ack', 'configure', 'consume', 'delete', 'describe', 'extend', 'list'].map(
        (name) => `queue ${name}`,
      ),
      ...['nack', 'peek', 'receive', 'reject', 'release'].map((name) => `queue ${name}`),
      'serve',
      'status',
      'sub',
      ...['create', 'list', 'revoke'].map((name) => `token ${name}`),
      ...['alter', 'create', 'delete', 'delete-records', 'describe', 'list'].map((name) => `topic ${name}`),
    ]);
  });

  it.each([
    ['publish', 'pub'],
    ['subscribe', 'sub'],
  ])('knows what somebody means by %s', async (long, short) => {
    const run = await runHere([long]);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain(`(Did you mean ${short}?)`);
  });

  it('shows help on stderr and fails when no command is named', async () => {
    const run = await runHere([]);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain('Usage: sluice');
    expect(run.stdout).toBe('');
  });

  describe.each(COMMANDS.map((command) => [command.join(' '), command] as const))('%s', (path, command) => {
    it('has help with examples of itself', async () => {
      const { exitCode, stdout } = await runHere([...command, '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`Usage: sluice ${path}`);
      const examples = stdout.slice(stdout.indexOf('\nExamples:\n'));
      expect(examples).toContain(`sluice ${path}`);
    });

    it('has the options that its examples use', async () => {
      const { stdout } = await runHere([...command, '--help']);
      const [help, examples] = stdout.split('\nExamples:\n') as [string, string];
      const own = examples.split('\n').filter((line) => line.includes(`sluice ${path} `));
      const used = own.flatMap((line) => line.match(/(?<= )--?[a-z][a-z-]*/g) ?? []);
      for (const option of used) expect(help).toMatch(new RegExp(`^  .*${option}[, ]`, 'm'));
    });
  });

  it('offers to choose the storage of a topic when it is created, and not later', async () => {
    expect((await runHere(['topic', 'create', '--help'])).stdout).toContain('--storage <kind>');
    expect((await runHere(['topic', 'alter', '--help'])).stdout).not.toContain('--storage');
  });

  it.each([
    [['frobnicate'], 'frobnicate'],
    [['pub'], 'topic[/key]'],
    [['pub', 't', 'v', '--frob'], '--frob'],
    [['pub', 't', 'v', '--acks', 'some'], 'none, leader, all'],
    [['pub', 't', 'v', '--partition', '-1'], '--partition'],
    [['sub', 't', '--count', '0'], '--count'],
    [['sub', 't', '-o', 'xml'], 'value, json, raw'],
    [['topic', 'create'], 'name'],
    [['topic', 'alter', 't', '--storage', 'disk'], '--storage'],
    [['token', 'create', 'x'], '--grant'],
    [['bench', '--size', '4'], '--size'],
    [['pub', 't', 'v', '--deliver-at', 'soon'], '--deliver-at'],
    [['pub', 't', 'v', '--ttl', '0'], '--ttl'],
    [['sub', 't', '--instance-id', 'i'], '--group'],
    [['sub', 't/a', '--group', 'g'], 'whole topics'],
    [['sub', 't', '--group', 'g', '--delivery', 'unordered'], '--delivery'],
    [['sub', 't', '--group', 'g', '--on-gap', 'end'], '--on-gap'],
    [['sub', 't', '--group', 'g', '--name', 'n'], '--name'],
    [['sub', 't', '--group', 'g', '--from', 'last-per-key'], 'earliest'],
    [['group', 'reset', 'g', 't'], '--to'],
    [['group', 'reset', 'g', 't', '--to', 'last-per-key'], 'earliest'],
    [['queue', 'configure', 't', '--max-attempts', '1001'], '--max-attempts'],
    [['queue', 'configure', 't', '--lease', 'long'], '--lease'],
    [['queue', 'receive', 't', '--max', '0'], '--max'],
    [['queue', 'receive', 't', '--keep', '-o', 'raw'], '--keep'],
    [['queue', 'consume', 't', '--concurrency', '2'], '--exec'],
    [['queue', 'consume', 't', '--exec', 'cat', '-o', 'json'], '--exec'],
    [['queue', 'ack', 't'], 'token'],
    [['dlq', 'peek', 't', '17'], 'PARTITION:OFFSET'],
    [['dlq', 'replay', 't'], '--all'],
    [['dlq', 'replay', 't', '0:1', '--all'], '--all'],
    [['dlq', 'delete', 't'], 'record'],
  ])('refuses %j with one line and exit code 2', async (argv, mentioned) => {
    const run = await runHere(argv);
    expect(run.exitCode).toBe(2);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(/^sluice: INVALID_ARGUMENT: [^\n]+\n$/);
    expect(run.stderr).toContain(mentioned);
  });

  it.each([
    [['sub', 't', '--server', 'http://x:1']],
    [['status', '--ca', 'missing.pem']],
    [['status', '--cert', '/dev/null']],
  ])('refuses %j before connecting', async (argv) => {
    const run = await runHere(argv, { env: { XDG_STATE_HOME: '/nonexistent' } });
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(/^sluice: INVALID_ARGUMENT: [^\n]+\n$/);
  });

  it('tries once only to reach a node of this machine that nobody seems to have started', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const argv = ['status', '--server', `tls://127.0.0.1:${port}`];
    const run = await runHere(argv, { env: { XDG_STATE_HOME: '/nonexistent' } });
    server.close();
    expect([run.exitCode, connections]).toEqual([3, 1]);
    expect(run.stderr).toMatch(/^sluice: CONNECT_FAILED: [^\n]+ Start one with: sluice serve\n$/);
  });
});

/** Every command that does something itself, as the help tells. */
async function commandsBelow(path: readonly string[]): Promise<string[][]> {
  const { stdout } = await runHere([...path, '--help']);
  const list = /\nCommands:\n((?: .*\n)+)/.exec(stdout)?.[1] ?? '';
  const names = [...list.matchAll(/^ {2}([a-z-]+)/gm)].map((match) => match[1]!);
  if (names.length === 0) return [[...path]];
  const below = await Promise.all(
    names.filter((name) => name !== 'help').map((name) => commandsBelow([...path, name])),
  );
  return below.flat();
}
