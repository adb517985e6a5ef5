/** What V8 and Chromium are asked by those who debug. */
import { once } from 'node:events';
import { WebSocket } from 'ws';

interface Reply {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** A connection to a process, a browser, or one of its pages, over their debugging protocol. */
export class Debugger implements Disposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Reply>>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => {
      const reply = JSON.parse((data as Buffer).toString()) as Reply;
      this.#waiting.get(reply.id ?? 0)?.resolve(reply);
      this.#waiting.delete(reply.id ?? 0);
    });
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('who is debugged has ended'));
    });
  }

  /** @throws Error when nobody listens at `url` */
  static async connect(url: string): Promise<Debugger> {
    const socket = new WebSocket(url);
    await once(socket, 'open');
    return new Debugger(socket);
  }

  /** @throws Error with what was answered, or when the other end is gone */
  async ask(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = (this.#lastId += 1);
    const asked = Promise.withResolvers<Reply>();
    this.#waiting.set(id, asked);
    this.#socket.send(JSON.stringify({ id, method, params }));
    const reply = await asked.promise;
    if (reply.error) throw new Error(`${method}: ${reply.error.message}`);
    return reply.result!;
  }

  /**
   * What an expression is there; a promise is waited for.
   *
   * @returns a plain value
   * @throws Error with what was thrown there
   */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = (await this.ask('Runtime.evaluate', {
      ...{ expression, awaitPromise: true, returnByValue: true },
    })) as { result: { value?: unknown }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? 'it threw');
    return result.value;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
