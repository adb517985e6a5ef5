import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { Bodies } from '../../../src/gateway/http/body.ts';
import type { SluiceError } from '../../../src/kernel/errors.ts';

/** A request whose body comes as the test says. */
function request(): { readonly body: PassThrough; readonly message: IncomingMessage } {
  const body = new PassThrough();
  return { body, message: Object.assign(body, { headers: {} }) as unknown as IncomingMessage };
}

/** What became of reading a body: its text, or a code. */
function read(bodies: Bodies, message: IncomingMessage): Promise<string> {
  return new Promise((resolve) =>
    bodies.read(message, (error: SluiceError | null, body) => resolve(error ? error.code : body!.toString())),
  );
}

describe('bodies of requests', () => {
  it('are put together from their pieces', async () => {
    const bodies = new Bodies({ bodyMaxBytes: 10, bodiesMaxBytes: 10 });
    const { body, message } = request();
    const reading = read(bodies, message);
    body.write('ab');
    body.write('cd');
    body.end('e');
    expect([await reading, bodies.partialBytes]).toEqual(['abcde', 0]);
  });

  it('give back what they held when the client goes away', async () => {
    const bodies = new Bodies({ bodyMaxBytes: 10, bodiesMaxBytes: 10 });
    const { body, message } = request();
    const reading = read(bodies, message);
    await new Promise((resolve) => body.write('abcd', resolve));
    const heldBytes = bodies.partialBytes;
    body.destroy();
    await finished(body).catch(() => undefined);
    expect([heldBytes, await reading, bodies.partialBytes]).toEqual([4, 'CLOSED', 0]);
  });

  it('are refused when too much is half there, and free it', async () => {
    const bodies = new Bodies({ bodyMaxBytes: 10, bodiesMaxBytes: 10 });
    const [first, second] = [request(), request()];
    const readings = [read(bodies, first.message), read(bodies, second.message)];
    await new Promise((resolve) => first.body.write('12345678', resolve));
    await new Promise((resolve) => second.body.write('1234', resolve));
    expect(await readings[1]).toBe('OVERLOADED');
    first.body.end();
    expect([await readings[0], bodies.partialBytes]).toEqual(['12345678', 0]);
  });
});
