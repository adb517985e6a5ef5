import { readFileSync } from 'node:fs';
import { RESP_TYPES, createClient } from 'redis';
import type { DurableAdapter } from './adapter.ts';

const GROUP = 'bench';
const FIELD = 'v';
/** Entries of one answer, which are acknowledged together. */
const READ_RECORDS = 1_000;

/** Redis streams: XADD, and XREADGROUP with an XACK for what each answer held. */
export const redisStreams: DurableAdapter = {
  async connect({ host, port, caFile }) {
    const tls =
      caFile === undefined ? {} : { tls: true as const, ca: readFileSync(caFile), servername: 'localhost' };
    const client = createClient({ socket: { host, port, ...tls } });
    await client.connect();
    const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    return {
      async create(name) {
        await client.xGroupCreate(name, GROUP, '0', { MKSTREAM: true });
      },
      publish: (name, value) => client.xAdd(name, '*', { [FIELD]: value }),
      async consume(name, records, onRecord) {
        for (let got = 0; got < records;) {
          const answer = await binary.xReadGroup(
            GROUP,
            'reader',
            { key: name, id: '>' },
            { COUNT: READ_RECORDS, BLOCK: 1_000 },
          );
          const [stream] = (answer ?? []) as unknown as {
            readonly messages: readonly { readonly id: Buffer; readonly message: Record<string, Buffer> }[];
          }[];
          if (stream === undefined) continue;
          for (const { message } of stream.messages) onRecord(message[FIELD]!);
          await client.xAck(
            name,
            GROUP,
            stream.messages.map(({ id }) => id),
          );
          got += stream.messages.length;
        }
      },
      close: () => client.close(),
    };
  },
};
