/** Runs the real `sluice` command, each time as a process of its own. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));
const COMMAND = join(REPOSITORY, 'bin/sluice.js');

/** What a command left behind. */
export interface Finished {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs; `stdout` and `stderr` grow. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly finished: Promise<Finished>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    child.stdin?.on('error', () => undefined);
    this.finished = once(child, 'close').then(([exitCode]) => ({
      exitCode: exitCode as number | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  /** Resolves when stdout matches. @throws when the command ends before it does */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.stdout)) {
      if (this.child.exitCode !== null) throw new Error(`ended with ${this.child.exitCode}: ${this.stderr}`);
      await Promise.race([once(this.child.stdout!, 'data'), this.finished]);
    }
    return this.stdout;
  }
}

/** A folder and an environment that nothing else on the machine shares. */
export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
  readonly env: Record<string, string | undefined>;
  readonly #running = new Set<Running>();

  constructor(env: Record<string, string> = {}) {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_'));
    this.env = { ...Object.fromEntries(inherited), XDG_STATE_HOME: join(this.folder, 'state'), ...env };
  }

  /** Starts a command; its stdin stays open. */
  start(argv: readonly string[], env: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, [COMMAND, ...argv], {
      cwd: this.folder,
      env: { ...this.env, ...env },
    });
    const running = new Running(child);
    this.#running.add(running);
    void running.finished.then(() => this.#running.delete(running));
    return running;
  }

  /** Runs a command to its end. @param input what its stdin gives */
  run(
    argv: readonly string[],
    input: string | Buffer = '',
    env: Record<string, string> = {},
  ): Promise<Finished> {
    const running = this.start(argv, env);
    running.child.stdin!.end(input);
    return running.finished;
  }

  /** Starts a node on free ports and waits until it is ready. */
  async serve(argv: readonly string[] = [], env: Record<string, string> = {}): Promise<Served> {
    const ports = ['--quic', '127.0.0.1:0', '--http', '127.0.0.1:0'];
    const running = this.start(['serve', '--data', join(this.folder, 'data'), ...ports, ...argv], env);
    const line = await running.until(/\n/);
    return { running, ...(JSON.parse(line) as Omit<Served, 'running'>) };
  }

  /** Ends what still runs and deletes the folder. */
  async leave(): Promise<void> {
    const rest = [...this.#running];
    for (const running of rest) running.child.kill('SIGKILL');
    await Promise.all(rest.map(({ finished }) => finished));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A node and what it said when it was ready. */
export interface Served {
  readonly running: Running;
  readonly quic: string;
  readonly tls: string | undefined;
  readonly http: string;
  readonly ca: string;
  readonly pid: number;
}

/** A place with a node, and commands that ask it. */
export class ServedPlace extends Place {
  #node: Served | undefined;

  static async open(): Promise<ServedPlace> {
    const place = new ServedPlace();
    try {
      place.#node = await place.serve();
    } catch (error) {
      await place.leave();
      throw error;
    }
    return place;
  }

  get node(): Served {
    return this.#node!;
  }

  /** The option that has a command ask the node. */
  get server(): readonly string[] {
    return ['--server', this.node.quic];
  }

  /** Runs a command that asks the node. */
  ask(...argv: readonly string[]): Promise<Finished> {
    return this.run([...argv, ...this.server]);
  }

  /** {@link ask} for a command that has nothing to complain of. @returns its stdout */
  async sluice(...argv: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.ask(...argv);
    if (exitCode === 0 && stderr === '') return stdout;
    throw new Error(`sluice ${argv.join(' ')} ended with ${exitCode}: ${stderr}`);
  }
}

/** The JSON lines of a text. */
export function jsonLines<T>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
