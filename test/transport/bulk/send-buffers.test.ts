import { describe, expect, it } from 'vitest';
import { SendBuffers } from '../../../src/transport/bulk/send-buffers.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

describe('send buffers', () => {
  it('are used again once they are given back', () => {
    const buffers = new SendBuffers();
    const room = buffers.take(100 * KiB);
    buffers.giveBack(room);
    expect(buffers.take(200 * KiB) === room).toBe(true);
  });

  it('are never the same for two at once', () => {
    const buffers = new SendBuffers();
    const taken = new Set<ArrayBufferLike>();
    for (let round = 0; round < 3; round += 1) {
      const rooms = Array.from({ length: 6 }, () => buffers.take(100 * KiB));
      expect(new Set(rooms).size).toBe(6);
      rooms.forEach((room) => {
        taken.add(room.buffer);
        buffers.giveBack(room);
      });
    }
    // Four of six are kept each time.
    expect(taken.size).toBe(6 + 2 + 2);
  });

  it.each([0, 1, 16 * KiB - 1, 16 * KiB, MiB, MiB + 1, 20 * MiB])('have room for %i bytes', (bytes) => {
    const buffers = new SendBuffers();
    const room = buffers.take(bytes);
    expect(room.length).toBeGreaterThanOrEqual(bytes);
    buffers.giveBack(room);
    expect(buffers.take(bytes).length).toBeGreaterThanOrEqual(bytes);
  });

  it.each([100, MiB + 1])('of %i bytes are not kept', (bytes) => {
    const buffers = new SendBuffers();
    const room = buffers.take(bytes);
    buffers.giveBack(room);
    expect([buffers.take(100 * KiB) === room, buffers.take(bytes) === room]).toEqual([false, false]);
  });
});
