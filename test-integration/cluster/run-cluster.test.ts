/** `npm run cluster`: what a newcomer starts first. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClusterStatus } from '../../src/client/index.ts';
import { REPOSITORY } from '../cli/sluice.ts';
import { eventually } from '../support/eventually.ts';

/** Its folder for temporary files. */
let temporary: string;
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'run-cluster-'));
});
afterEach(() => rmSync(temporary, { recursive: true, force: true }));

interface Started {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
}

function start(...argv: string[]): Started {
  const child = spawn(process.execPath, ['examples/cluster/main.ts', ...argv], {
    cwd: REPOSITORY,
    // A setting that is meant for another node changes nothing here.
    env: { ...process.env, TMPDIR: temporary, SLUICE_NODE_ID: 'stranger' },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const ended = once(child, 'close').then(([exitCode]) => exitCode as number | null);
  return { child, output, ended };
}

/** Processes whose command line names the folder. */
function processesIn(folder: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => commandLine(pid).includes(folder));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it has just ended
  }
}

describe('npm run cluster', () => {
  it('runs a command that knows all nodes, ends as it does, and leaves nothing behind', async () => {
    const { output, ended } = start('--exec', 'echo $SLUICE_SERVER; sluice cluster status -o json; exit 7');
    expect([await ended, output.stderr]).toEqual([7, '']);
    const [servers, status] = output.stdout.split('\n');
    const { nodes } = JSON.parse(status!) as ClusterStatus;
    expect(nodes.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n2', 'n3']);
    expect(nodes.map(({ clientUrls }) => clientUrls[0]).join()).toBe(servers);
    const left = readdirSync(temporary).filter((name) => name.startsWith('sluice-'));
    expect([left, processesIn(temporary)]).toEqual([[], []]);
  });

  it('tells where its nodes are until it is interrupted, and keeps what it is told to', async () => {
    const folder = join(temporary, 'kept');
    const { child, output, ended } = start('--nodes', '2', '--keep', folder);
    await eventually('two nodes', () => output.stdout.includes('Ctrl-C stops everything'));
    expect(output.stdout).toMatch(/^n1 +quic:.*\nn2 +quic:.*\n$/m);
    expect(processesIn(folder)).toHaveLength(4);
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect([await ended, output.stderr, processesIn(folder)]).toEqual([0, '', []]);

    const clusterId = `sluice cluster status -o json | grep -o '"clusterId":"[^"]*"'`;
    const again = start('--nodes', '2', '--keep', folder, '--exec', clusterId);
    const third = await again.ended.then(() => start('--nodes', '1', '--keep', folder, '--exec', clusterId));
    expect([await again.ended, await third.ended]).toEqual([0, 0]);
    expect(third.output.stdout).toBe(again.output.stdout);
  });

  it('says how it is called', async () => {
    const { output, ended } = start('--nodes', 'many');
    expect([await ended, output.stderr]).toEqual([2, expect.stringContaining('--nodes')]);
  });
});
