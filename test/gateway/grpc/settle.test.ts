import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SettlementKind } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { MessageService } from '../../../src/gen/sluice/messages/v1/messages_pb.ts';
import { encodeLeaseToken } from '../../../src/wire/lease-token.ts';
import type { GrpcTestClient } from './grpc-stage.ts';
import { GrpcStage } from './grpc-stage.ts';

const { ack, nack, deadLetter, extend, release } = MessageService.method;
const token = (offset: number): string => encodeLeaseToken({ partition: 1, grant: 5, offset });

describe('settling over gRPC', () => {
  let stage: GrpcStage;
  let client: GrpcTestClient;

  beforeEach(async () => {
    stage = await GrpcStage.open();
    client = stage.client();
  });
  afterEach(() => stage[Symbol.asyncDispose]());

  const settled = (): unknown => stage.broker.settled;
  const lease = { partition: 1, grant: 5n, first: 9n, end: 10n };

  it('acknowledges', async () => {
    await client.call(ack, { topic: 't', leaseTokens: [token(9)] });
    expect(settled()).toEqual([{ ...lease, kind: SettlementKind.ACK, reason: '' }]);
  });

  it('hands back, with delay and reason', async () => {
    await client.call(nack, { topic: 't', leaseTokens: [token(9)], delayMs: 0, reason: 'r' });
    expect(settled()).toEqual([{ ...lease, kind: SettlementKind.NACK, delayMs: 0, reason: 'r' }]);
  });

  it('makes dead letters', async () => {
    await client.call(deadLetter, { topic: 't', leaseTokens: [token(9)], reason: 'r' });
    expect(settled()).toEqual([{ ...lease, kind: SettlementKind.REJECT, reason: 'r' }]);
  });

  it('passes on as much of a reason as a queue keeps, which many leases share', async () => {
    await client.call(nack, { topic: 't', leaseTokens: [token(9)], reason: 'r'.repeat(100_000) });
    expect(settled()).toMatchObject([{ ...lease, reason: 'r'.repeat(1024) }]);
  });

  it('extends', async () => {
    await client.call(extend, { topic: 't', leaseTokens: [token(9)], leaseMs: 7 });
    expect(settled()).toEqual([{ ...lease, kind: SettlementKind.EXTEND, delayMs: 7, reason: '' }]);
  });

  it('releases', async () => {
    await client.call(release, { topic: 't', leaseTokens: [token(9)] });
    expect(settled()).toEqual([{ ...lease, kind: SettlementKind.RELEASE, reason: '' }]);
  });

  it('of what is no token, whose text is cut in the middle of a character, fails with INVALID_ARGUMENT', async () => {
    const leaseTokens = [`${'x'.repeat(63)}\u{1f600}`];
    await expect(client.call(ack, { topic: 't', leaseTokens })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('of a lease that has gone fails with LEASE_EXPIRED', async () => {
    stage.broker.expired.add(9);
    await expect(client.call(ack, { topic: 't', leaseTokens: [token(9)] })).rejects.toMatchObject({
      code: 'LEASE_EXPIRED',
      message: 'gone',
    });
  });

  it('of several leases tells which could not be settled, and why', async () => {
    stage.broker.expired.add(2);
    const leaseTokens = [token(1), token(2), 'nonsense', token(3)];
    const { failures } = await client.call(ack, { topic: 't', leaseTokens });
    expect(failures.map(({ leaseToken, failure }) => [leaseToken, failure!.code])).toEqual([
      [token(2), 'LEASE_EXPIRED'],
      ['nonsense', 'INVALID_ARGUMENT'],
    ]);
    expect(stage.broker.settled.map(({ first }) => first)).toEqual([1n, 3n]);
    expect(stage.gateway.counters.settled).toBe(2);
  });

  it('asks the queue once for what comes in one request', async () => {
    await client.call(ack, {
      topic: 't',
      leaseTokens: Array.from({ length: 100 }, (_, offset) => token(offset)),
    });
    expect(stage.broker.settleRequests).toBe(1);
  });

  it('refuses a request without tokens', async () => {
    await expect(client.call(ack, { topic: 't' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
