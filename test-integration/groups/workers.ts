import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClusterStage } from '../cluster/stage.ts';
import type { JournalLine, WorkerTask } from './worker-task.ts';

const PROGRAM = fileURLToPath(new URL('worker.ts', import.meta.url));

/** Lines of one event. */
export type LineOf<Event extends JournalLine['event']> = Extract<JournalLine, { readonly event: Event }>;

/** What all workers of a test are told. */
export type CommonTask = Omit<WorkerTask, 'name' | 'urls' | 'ca' | 'journal'>;

/** A consumer process: it can be killed, frozen and woken. */
export class Worker {
  readonly name: string;
  readonly #child: ChildProcess;
  #stderr = '';

  constructor(task: WorkerTask) {
    this.name = task.name;
    this.#child = spawn(process.execPath, [PROGRAM, JSON.stringify(task)], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it said when it failed by itself. */
  get failure(): string | undefined {
    return this.#child.exitCode === null || this.#child.exitCode === 0 ? undefined : this.#stderr;
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** Resolves when the process is gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (!this.alive) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    await gone;
  }
}

/** A pool of consumer processes that append what they do to one file. */
export class Workers implements AsyncDisposable {
  readonly #stage: ClusterStage;
  readonly #task: CommonTask;
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-workers-'));
  readonly #all: Worker[] = [];
  #lines: JournalLine[] = [];
  /** Bytes of the journal that are read. */
  #read = 0;

  constructor(stage: ClusterStage, task: CommonTask) {
    this.#stage = stage;
    this.#task = task;
    writeFileSync(this.#journal, '');
  }

  /** Starts a worker; every one begins at another node. */
  start(more: Partial<CommonTask> = {}): Worker {
    const { urls, ca } = this.#stage;
    const number = this.#all.length;
    const first = number % urls.length;
    const worker = new Worker({
      ...{ ...this.#task, ...more, name: `worker-${number}`, ca, journal: this.#journal },
      urls: [...urls.slice(first), ...urls.slice(0, first)],
    });
    this.#all.push(worker);
    return worker;
  }

  get alive(): readonly Worker[] {
    return this.#all.filter((worker) => worker.alive);
  }

  /** What workers said that have ended with an error. */
  get failures(): readonly string[] {
    return this.#all.flatMap(({ failure }) => failure ?? []);
  }

  /** All that was done until now, in order. */
  get lines(): readonly JournalLine[] {
    const bytes = readFileSync(this.#journal).subarray(this.#read);
    const end = bytes.lastIndexOf(0x0a) + 1;
    const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
    this.#read += end;
    this.#lines.push(...lines.map((line) => JSON.parse(line) as JournalLine));
    return this.#lines;
  }

  of<Event extends JournalLine['event']>(event: Event, worker?: Worker): readonly LineOf<Event>[] {
    return this.lines.filter(
      (line): line is LineOf<Event> =>
        line.event === event && (worker === undefined || line.worker === worker.name),
    );
  }

  /** Ends all in order. */
  async stop(): Promise<void> {
    await Promise.all(this.alive.map((worker) => worker.kill('SIGTERM')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.alive.map((worker) => worker.kill('SIGKILL')));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #journal(): string {
    return join(this.#folder, 'journal');
  }
}
