import { describe, expect, it } from 'vitest';
import { CoordinateRequestSchema } from '../../../src/gen/sluice/peer/v1/peer_pb.ts';
import { ForwardRequestSchema } from '../../../src/gen/sluice/peer/v1/forwarding_pb.ts';
import { ReplicateRequestSchema } from '../../../src/gen/sluice/peer/v1/replication_pb.ts';
import { decodeMessage, encodeMessage } from '../../../src/transport/grpc/rpc-method.ts';

/** So many entries of a field, each of them empty. */
function emptyEntries(field: number, count: number): Buffer {
  return Buffer.alloc(2 * count, Buffer.from([(field << 3) | 2, 0]));
}

describe('a message of very many parts', () => {
  it('is refused before it is read', () => {
    const bomb = emptyEntries(2, 300_000);
    expect(() => decodeMessage(ForwardRequestSchema, bomb)).toThrow(
      expect.objectContaining({ code: 'OVERLOADED' }),
    );
  });

  it('is refused also where they are in a message inside of it', () => {
    const inner = Buffer.concat([Buffer.from([0x12, 0xc0, 0xcf, 0x24]), emptyEntries(1, 300_000)]);
    expect(inner.readUInt8(0)).toBe((2 << 3) | 2);
    expect(() => decodeMessage(CoordinateRequestSchema, inner)).toThrow(
      expect.objectContaining({ code: 'OVERLOADED' }),
    );
  });

  it('is read when they are no more than the partitions that one question may name', () => {
    const changed = Array.from({ length: 65_536 }, (_, partition) => ({
      ...{ topicId: 'a topic', partition, leaderEpoch: 1, fetchOffset: 2n ** 53n },
    }));
    const read = decodeMessage(ReplicateRequestSchema, encodeMessage(ReplicateRequestSchema, { changed }));
    expect(read.changed).toHaveLength(65_536);
    expect(read.changed.at(-1)).toMatchObject({
      topicId: 'a topic',
      partition: 65_535,
      fetchOffset: 2n ** 53n,
    });
  });

  it('and few large ones is read', () => {
    const batches = [Buffer.alloc(16 * 1024 * 1024, 'x'), Buffer.alloc(100, 'y')];
    const message = { publishes: [{ topicId: 'a' }, { topicId: 'b' }], batches };
    const read = decodeMessage(ForwardRequestSchema, encodeMessage(ForwardRequestSchema, message));
    expect(read.batches.map(({ length }) => length)).toEqual([16 * 1024 * 1024, 100]);
  });

  it('is none when it is cut', () => {
    const cut = Buffer.concat([emptyEntries(15, 1), Buffer.alloc(600_000, 0xff)]);
    expect(() => decodeMessage(ForwardRequestSchema, cut)).toThrow(
      expect.objectContaining({ code: 'PROTOCOL_ERROR' }),
    );
  });
});
