import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Output } from '../../src/cli/terminal.ts';

describe('Output', () => {
  it('says when to wait, and when there is room again', async () => {
    let release: (() => void) | undefined;
    const stream = new Writable({
      highWaterMark: 4,
      write: (_chunk, _encoding, callback) => void (release = callback),
    });
    const output = new Output(stream);
    expect(output.write('12345678')).toBe(false);
    const room = output.drained();
    release?.();
    await expect(room).resolves.toBeUndefined();
  });

  it('is closed, without an exception, when nobody reads any more', async () => {
    const stream = new Writable({ write: (_chunk, _encoding, callback) => callback(new Error('EPIPE')) });
    const output = new Output(stream);
    output.write('x');
    await new Promise((resolve) => output.closed.addEventListener('abort', resolve));
    expect(output.write('y')).toBe(true);
    await output.drained();
    await output.flushed();
  });

  it('has flushed only what somebody has taken', async () => {
    let taken = '';
    let isGone = false;
    const stream = new Writable({
      write(chunk: Buffer, _encoding, callback) {
        setImmediate(() => {
          if (!isGone) taken += chunk.toString();
          callback(isGone ? new Error('EPIPE') : null);
        });
      },
    });
    const output = new Output(stream);
    output.write('x');
    expect(await output.flushed()).toBe(true);
    expect(taken).toBe('x');
    isGone = true;
    output.write('y');
    expect(await output.flushed()).toBe(false);
    expect(await output.flushed()).toBe(false);
  });
});
