import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeAuthority } from '../../test/support/certificates.ts';
import type { Usage } from './processes.ts';
import { stop, usageOf } from './processes.ts';

/** Longest time from starting to ready; a server that has to read back its files may take long. */
const START_MS = 180_000;

export interface CertificateFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Where a server shall run. */
export interface Place {
  readonly host: string;
  /** Free for TCP; taken for UDP alike. */
  readonly port: number;
  /** The server's own; goes with it. */
  readonly folder: string;
  readonly files: CertificateFiles;
}

/** How a server is started. */
export interface Command {
  readonly line: readonly string[];
  /** Output that says that clients may come. */
  readonly ready: RegExp;
  readonly env?: Readonly<Record<string, string>>;
}

/** Where a {@link ServerProcess} runs. */
export interface ServerProcessOptions {
  /** Address to listen at. Default 127.0.0.1. */
  readonly host?: string;
  /** Network namespace to run in. */
  readonly namespace?: string;
}

/** A server of any kind in a folder of its own that goes with it; it can be killed and started again on the same files. */
export class ServerProcess implements AsyncDisposable {
  readonly name: string;
  readonly place: Place;
  readonly #command: Command;
  readonly #namespace: string | undefined;
  #child: ChildProcess | undefined;

  private constructor(name: string, place: Place, command: Command, namespace: string | undefined) {
    this.name = name;
    this.place = place;
    this.#command = command;
    this.#namespace = namespace;
  }

  /** Starts it on a free port with a certificate of its own. @throws Error when it does not come up */
  static async start(
    name: string,
    commandOf: (place: Place) => Command,
    options: ServerProcessOptions = {},
  ): Promise<ServerProcess> {
    const host = options.host ?? '127.0.0.1';
    const folder = mkdtempSync(join(tmpdir(), `sluice-bench-${name}-`));
    const place = { host, port: await freePort(), folder, files: await writeCertificates(folder, host) };
    const server = new ServerProcess(name, place, commandOf(place), options.namespace);
    try {
      await server.restart();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** `ip netns exec` replaces itself by the program, so this is the server's own id. */
  get pid(): number {
    return this.#child!.pid!;
  }

  usage(): Usage {
    return usageOf(this.pid);
  }

  /** Starts the program, which must not run. @returns milliseconds until it was ready */
  async restart(): Promise<number> {
    const inside = this.#namespace === undefined ? [] : ['ip', 'netns', 'exec', this.#namespace];
    const { line, env, ready } = this.#command;
    const [program, ...rest] = [...inside, ...line] as [string, ...string[]];
    const startMs = performance.now();
    this.#child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    await readyLine(this.#child, ready, this.name);
    return performance.now() - startMs;
  }

  /** Ends it as a crash would, and waits until it is gone. */
  async kill(): Promise<void> {
    const gone = once(this.#child!, 'exit');
    this.#child!.kill('SIGKILL');
    await gone;
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    if (this.#child !== undefined) await stop(this.#child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.place.folder, { recursive: true, force: true });
  }
}

async function writeCertificates(folder: string, host: string): Promise<CertificateFiles> {
  const authority = await makeAuthority();
  const identity = await authority.issue({ names: ['localhost'], ips: [...new Set(['127.0.0.1', host])] });
  const files = {
    ca: join(folder, 'ca.pem'),
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'key.pem'),
  };
  writeFileSync(files.ca, authority.certificatePem);
  writeFileSync(files.certificate, identity.certificatePem);
  writeFileSync(files.key, identity.privateKeyPem, { mode: 0o600 });
  return files;
}

/** A TCP port that is free now; the same number is taken for UDP. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

/** Waits for the line; keeps the last output for the message when it does not come. */
export function readyLine(child: ChildProcess, ready: RegExp, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const last: string[] = [];
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new Error(`${name}: ${why}\n${last.join('\n')}`));
    };
    const timer = setTimeout(() => fail('did not become ready'), START_MS);
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`ended with ${String(code)}`));
    for (const output of [child.stdout!, child.stderr!]) {
      createInterface({ input: output }).on('line', (line) => {
        last.push(line);
        if (last.length > 20) last.shift();
        if (!ready.test(line)) return;
        clearTimeout(timer);
        resolve();
      });
    }
  });
}
