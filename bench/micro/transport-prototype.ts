/** Runs the measured prototype of the QUIC endpoint beside ours; see transport.ts. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TlsIdentity } from '../../src/transport/transport.ts';
import type { Sample } from './transport.ts';

const PROGRAMS = ['nat-server.mjs', 'nat-client.mjs'];
const LIBRARIES = ['native.mjs', 'frame.mjs'];
const NODE_MODULES = resolve(import.meta.dirname, '../../node_modules');

/** Puts the prototype's files where they expect each other, with a certificate. @returns the folder */
export async function stagePrototype(source: string, identity: TlsIdentity): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-prototype-'));
  await mkdir(join(folder, 'lib'));
  await mkdir(join(folder, 'certs'));
  for (const name of PROGRAMS) await copyFile(join(source, name), join(folder, name));
  for (const name of LIBRARIES) await copyFile(join(source, name), join(folder, 'lib', name));
  await writeFile(join(folder, 'certs', 'key.pem'), identity.privateKeyPem);
  await writeFile(join(folder, 'certs', 'cert.pem'), identity.certificatePem);
  await symlink(NODE_MODULES, join(folder, 'node_modules'));
  return folder;
}

/** One run of a staged prototype at 1,350-byte packets with the congestion control that Sluice uses. */
export async function runPrototype(folder: string, seconds: number): Promise<Sample> {
  const bulk = await runPair(folder, ['--msg', '65532', '--dur', String(seconds)]);
  const pings = await runPair(folder, ['--mode', 'ping', '--psize', '128', '--dur', String(seconds)]);
  return {
    megabytesPerSecond: bulk['MBps'] ?? 0,
    roundTripP50Us: pings['p50us'] ?? 0,
    roundTripP99Us: pings['p99us'] ?? 0,
  };
}

async function runPair(folder: string, clientArguments: readonly string[]): Promise<Record<string, number>> {
  const server = start(folder, ['nat-server.mjs', '--udp', '1350', '--cc', 'bbr']);
  try {
    const { port } = await jsonLine(server);
    return await jsonLine(
      start(folder, [
        'nat-client.mjs',
        '--udp',
        '1350',
        '--cc',
        'bbr',
        '--port',
        String(port),
        ...clientArguments,
      ]),
    );
  } finally {
    server.stdin!.end();
    await once(server, 'exit');
  }
}

function start(folder: string, programArguments: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...programArguments], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
}

async function jsonLine(child: ChildProcess): Promise<Record<string, number>> {
  for await (const line of createInterface({ input: child.stdout! })) {
    return JSON.parse(line) as Record<string, number>;
  }
  throw new Error('the prototype ended without a result');
}
