/** A real browser without a screen, driven over its debugging protocol. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Debugger } from './debugger.ts';
import { eventually } from './eventually.ts';
import { findTool, requireTools } from './system-tools.ts';

/** A page that is open. */
export class Page {
  readonly #debugger: Debugger;

  constructor(debug: Debugger) {
    this.#debugger = debug;
  }

  /** Closes it as somebody does who has seen enough. */
  async close(): Promise<void> {
    await this.#debugger.ask('Page.close');
  }

  /** See {@link Debugger.evaluate}. */
  evaluate(expression: string): Promise<unknown> {
    return this.#debugger.evaluate(expression);
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
