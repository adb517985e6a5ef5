import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('client.py', import.meta.url));
/** Debian's own, whose packages are installed; another one on the PATH would not see them. */
const PYTHON = '/usr/bin/python3';

/** Debian packages that the client needs. */
export const PYTHON_PACKAGES = ['python3-grpcio', 'python3-protobuf'] as const;

/** How a call ended; messages are as protobuf's JSON has them. */
export interface PythonAnswer {
  /** Name of the gRPC status. */
  readonly status: string;
  /** Of the trailer `sluice-error`. */
  readonly code: string | null;
  readonly details: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the other side says
  readonly responses: any[];
}

/** What goes with a call. */
export interface PythonCallOptions {
  /** Seconds. */
  readonly timeout?: number;
  readonly token?: string;
  /** Cancels the call after so many responses. */
  readonly cancelAfter?: number;
}

/** The client of client.py as a process. */
export class PythonClient implements AsyncDisposable {
  /** What the server says that there is. */
  services: readonly string[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: PythonAnswer) => void>();
  #calls = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts it, and lets it ask what there is. @param ca file with the authority of the server; undefined: without TLS @throws Error with what Python said */
  static start(address: string, ca?: string): Promise<PythonClient> {
    const child = spawn(PYTHON, [PROGRAM, address, ...(ca === undefined ? [] : ['--ca', ca])], {
      env: { ...process.env, GRPC_VERBOSITY: 'NONE' },
    });
    const client = new PythonClient(child);
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    return new Promise((resolve, reject) => {
      child.once('exit', () => reject(new Error(`the Python client ended: ${stderr}`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const said = JSON.parse(line) as PythonAnswer & { id?: number; services?: string[] };
        if (said.services) {
          client.services = said.services;
          resolve(client);
        } else {
          client.#answered(said.id!, said);
        }
      });
    });
  }

  /** Calls a method with one request, or with those of a stream. */
  call(method: string, request: unknown, options: PythonCallOptions = {}): Promise<PythonAnswer> {
    const requests = Array.isArray(request) ? request : [request];
    const id = (this.#calls += 1);
    this.#child.stdin!.write(`${JSON.stringify({ id, method, requests, ...options })}\n`);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null) {
        resolve();
        return;
      }
      this.#child.once('exit', () => resolve());
      this.#child.kill('SIGKILL');
    });
  }

  #answered(id: number, answer: PythonAnswer): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}
