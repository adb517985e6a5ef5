import { describe, expect, it } from 'vitest';
import { echoStreams, readSome } from '../../support/transport-streams.ts';
import { relayedStage } from './quic-stage.ts';

const MESSAGES = 300;
const MESSAGE_BYTES = 200;

const { stage, relayTo } = relayedStage();

/**
 * Sends small messages over a relay that loses every `nth` packet to the server, each when the one before was echoed.
 * @returns what was echoed, and how many packets to the server were copies
 */
async function throughRelay(nth: number): Promise<{ echoed: string[]; copies: number }> {
  const listener = await stage.listen(undefined, echoStreams);
  const relay = await relayTo(listener);
  const client = await stage.connect({ port: relay.port });
  let packets = 0;
  relay.drop = (direction) => direction === 'to-server' && (packets += 1) % nth === 0;
  relay.recording = true;
  const stream = client.openBidi();
  const echoed: string[] = [];
  for (let n = 0; n < MESSAGES; n += 1) {
    const echo = readSome(stream.receive);
    stream.send.write(Buffer.from(`${n};`));
    echoed.push((await echo).toString());
  }
  const sent = relay.packets.flatMap(({ direction, bytes }) =>
    direction === 'to-server' ? [bytes.toString('hex')] : [],
  );
  return { echoed, copies: sent.length - new Set(sent).size };
}

const ALL = Array.from({ length: MESSAGES }, (_, n) => `${n};`);

describe('small messages, one by one', () => {
  it('are repeated on a link that loses packets, and read once', async () => {
    const { echoed, copies } = await throughRelay(4);
    expect([echoed, copies > MESSAGES / 10]).toEqual([ALL, true]);
  });

  it('are repeated when the first packet is lost that a connection ever loses', async () => {
    const listener = await stage.listen(undefined, echoStreams);
    const relay = await relayTo(listener);
    const client = await stage.connect({ port: relay.port });
    const stream = client.openBidi();
    const first = readSome(stream.receive);
    stream.send.write(Buffer.from('first'));
    await first;
    let lost: string | undefined;
    relay.recording = true;
    // Acknowledgements alone are smaller.
    relay.drop = (direction, bytes) => {
      if (direction !== 'to-server' || lost !== undefined || bytes.length < MESSAGE_BYTES) return false;
      lost = bytes.toString('hex');
      return true;
    };
    const second = readSome(stream.receive);
    stream.send.write(Buffer.alloc(MESSAGE_BYTES, 'second'));
    await second;
    const again = relay.packets.filter(({ bytes }) => bytes.toString('hex') === lost);
    expect(again.length).toBeGreaterThan(1);
  });
});
