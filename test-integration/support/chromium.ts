/** A real browser without a screen, driven over its debugging protocol. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { eventually } from './eventually.ts';
import { findTool, requireTools } from './system-tools.ts';

interface Reply {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** A connection to the browser or to one of its pages. */
class Debugger {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => {
      const reply = JSON.parse((data as Buffer).toString()) as Reply;
      this.#waiting.get(reply.id ?? 0)?.(reply);
      this.#waiting.delete(reply.id ?? 0);
    });
  }

  static async connect(url: string): Promise<Debugger> {
    const socket = new WebSocket(url);
    await once(socket, 'open');
    return new Debugger(socket);
  }

  async ask(method: string, params: object): Promise<Record<string, unknown>> {
    const id = (this.#lastId += 1);
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
    if (reply.error) throw new Error(`${method}: ${reply.error.message}`);
    return reply.result!;
  }
}

/** A page that is open. */
export class Page {
  readonly #debugger: Debugger;

  constructor(debug: Debugger) {
    this.#debugger = debug;
  }

  /** Closes it as somebody does who has seen enough. */
  async close(): Promise<void> {
    await this.#debugger.ask('Page.close', {});
  }

  /**
   * What an expression is in the page; a promise is waited for.
   * @returns a plain value
   * @throws Error with what the page threw
   */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = (await this.#debugger.ask('Runtime.evaluate', {
      ...{ expression, awaitPromise: true, returnByValue: true },
    })) as { result: { value?: unknown }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? 'the page threw');
    return result.value;
  }
}

/** The browser; its profile goes with it. */
export class Chromium implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #profile: string;
  #debugger: Debugger | undefined;
  #address = '';

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
  }

  static async launch(): Promise<Chromium> {
    requireTools(['chromium']);
    const profile = mkdtempSync(join(tmpdir(), 'sluice-chromium-'));
    const argv = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
    argv.push('--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank');
    const child = spawn(findTool('chromium')!, argv, { stdio: 'ignore' });
    const browser = new Chromium(child, profile);
    try {
      await browser.#attach();
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
    return browser;
  }

  /** Opens a page and waits until it has loaded. */
  async open(url: string): Promise<Page> {
    const { targetId } = await this.#debugger!.ask('Target.createTarget', { url });
    const page = new Page(
      await Debugger.connect(`ws://${this.#address}/devtools/page/${targetId as string}`),
    );
    await eventually(`${url} is loaded`, async () => (await page.evaluate(LOADED)) === url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit');
    if (this.#child.exitCode === null && this.#child.kill()) await gone;
    // Its helpers may still write for a moment.
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20 });
  }

  async #attach(): Promise<void> {
    let lines: string[] = [];
    await eventually('the browser listens', () => {
      try {
        lines = readFileSync(join(this.#profile, 'DevToolsActivePort'), 'utf8').split('\n');
      } catch {
        lines = [];
      }
      return lines.length > 1;
    });
    this.#address = `127.0.0.1:${lines[0]!}`;
    this.#debugger = await Debugger.connect(`ws://${this.#address}${lines[1]!}`);
  }
}

const LOADED = `document.readyState === 'complete' ? location.href : ''`;
