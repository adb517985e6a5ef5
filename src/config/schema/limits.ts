import { z } from 'zod';
import { duration, integer, orOff, size } from '../kinds.ts';
import { setting } from '../setting.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Bounds on what one client may ask of the node. */
export const limitsSchema = z.strictObject({
  maxFrameBytes: setting(size({ min: 64 * KiB, max: 64 * MiB }), {
    description: 'Largest payload of a frame.',
    default: '17MiB',
  }),
  batchMaxBytes: setting(size({ min: KiB, max: 16 * MiB }), {
    description: 'Largest record batch as it is sent.',
    default: '1MiB',
  }),
  inflatedMaxBytes: setting(size({ min: KiB, max: 64 * MiB }), {
    description: 'Largest record batch after decompression, where the node must decompress it.',
    default: '16MiB',
  }),
  keyMaxBytes: setting(size({ min: 1, max: 64 * KiB }), {
    description:
      'Largest key of a record. Clients are told and keep to it; the node checks keys in raw mode only, as it does not look into batches.',
    default: '64KiB',
  }),
  maxConnections: setting(integer({ min: 1, max: 1_000_000 }), {
    description: 'Connections of one listener at once, handshakes included.',
    default: 20_000,
  }),
  maxStreams: setting(integer({ min: 16, max: 65_536 }), {
    description: 'Streams of each kind that a client may have open at once on a connection.',
    default: 4096,
  }),
  streamWindowBytes: setting(size({ min: 16 * KiB, max: 16 * MiB }), {
    description: 'Bytes that a client may send on a stream ahead of the node.',
    default: '512KiB',
  }),
  idleTimeout: setting(duration({ min: 1_000, max: 3_600_000 }), {
    description: 'A connection on which nothing was heard for this long is dead.',
    default: '30s',
  }),
  keepAlive: setting(orOff(duration({ min: 100, max: 3_600_000 })), {
    description:
      'A PING goes out after this long without sending; over HTTP/2 always so often. While a producer waits for an acknowledgement one goes out each second, also where this is off.',
    default: '10s',
  }),
  handshakeTimeout: setting(duration({ min: 100, max: 60_000 }), {
    description: 'Time within which a client must be connected.',
    default: '10s',
  }),
});
