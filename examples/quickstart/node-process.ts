import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../../bin/sluice.js', import.meta.url));

/** A node of our own, in a process and a data directory of its own. */
export interface NodeProcess {
  readonly url: string;
  readonly ca: string;
  /** Drains and stops it, and deletes the data directory. */
  stop(): Promise<void>;
}

/** Starts `sluice serve` on free ports of this machine and waits until it is ready. */
export async function startNode(): Promise<NodeProcess> {
  const data = mkdtempSync(join(tmpdir(), 'sluice-quickstart-'));
  const addresses = [
    '--quic',
    '127.0.0.1:0',
    '--http',
    '127.0.0.1:0',
    '--tls-listen',
    'off',
    '--log-level',
    'warn',
  ];
  const child = spawn(process.execPath, [COMMAND, 'serve', '--data', data, ...addresses], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(data, { recursive: true, force: true });
  };
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const event = JSON.parse(line) as { evt?: string; quic?: string; ca?: string };
    if (event.evt !== 'node.ready') continue;
    child.stdout.resume();
    return { url: event.quic!, ca: event.ca!, stop };
  }
  await stop();
  throw new Error('the node did not start; its reason is above');
}
