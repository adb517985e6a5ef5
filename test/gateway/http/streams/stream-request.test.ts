import { describe, expect, it } from 'vitest';
import type { StreamRequest } from '../../../../src/gateway/http/streams/stream-request.ts';
import { parseStreamRequest } from '../../../../src/gateway/http/streams/stream-request.ts';

function parse(
  query: string,
  more: { readonly lastEventId?: string; readonly isOneWay?: boolean } = {},
): StreamRequest {
  return parseStreamRequest({ topic: 'orders', query: new URLSearchParams(query), isOneWay: false, ...more });
}

function refusal(parsing: () => unknown): unknown {
  try {
    parsing();
  } catch (error) {
    return (error as { readonly code?: unknown }).code;
  }
  return undefined;
}

describe('what a stream is asked for', () => {
  it('is everything new when nothing is said', () => {
    expect(parse('')).toEqual({
      ...{ kind: 'plain', topic: 'orders', filter: 'orders', start: { at: 'latest' }, positions: [] },
      ...{ partitions: undefined, encoding: 'auto', credit: undefined },
    });
  });

  it('is what the query says', () => {
    expect(parse('from=42&key=a%2F%2B&partitions=0,3&encoding=json&credit=5')).toMatchObject({
      ...{
        filter: 'orders/a/+',
        start: { at: 'offset', offset: 42 },
        partitions: [0, 3],
        encoding: 'json',
        credit: 5,
      },
    });
    expect(parse('from=@1700')).toMatchObject({ start: { at: 'timestamp', timestampMs: 1700 } });
  });

  it('goes on after the last event, and has all of what was made meanwhile', () => {
    const again = { start: { at: 'earliest' }, positions: [{ topic: 'orders', partition: 1, offset: 7 }] };
    expect(parse('from=latest', { lastEventId: '1:7' })).toMatchObject(again);
    expect(parse('positions=1:7')).toMatchObject(again);
    expect(parse('positions=0:1', { lastEventId: '1:7' })).toMatchObject(again);
  });

  it('is a member of a group', () => {
    expect(parse('group=g&from=earliest&consumer=c&instance=i&session=6000')).toMatchObject({
      ...{
        kind: 'group',
        group: 'g',
        consumer: 'c',
        instanceId: 'i',
        sessionTimeoutMs: 6000,
        autoCommit: false,
      },
      start: { at: { case: 'earliest', value: true } },
    });
    expect(parse('group=g', { isOneWay: true })).toMatchObject({ autoCommit: true });
  });

  it('is a consumer of a queue', () => {
    expect(parse('queue=&lease=500')).toMatchObject({ kind: 'queue', group: 'default', leaseMs: 500 });
    expect(parse('queue=slow')).toMatchObject({ group: 'slow', leaseMs: 0 });
  });

  it.each([
    'form=latest',
    'from=latest&from=earliest',
    'from=-1',
    'from=99999999999999999999',
    'positions=1',
    'positions=0:9007199254740993',
    'partitions=a',
    'credit=many',
    'encoding=hex',
    'group=g&partitions=1',
    'group=g&from=last-per-key',
    'group=g&commit=never',
    'group=g&session=soon',
    'queue=q&from=earliest',
    'queue=q&group=g',
  ])('is refused as INVALID_ARGUMENT: %s', (query) => {
    expect(refusal(() => parse(query))).toBe('INVALID_ARGUMENT');
  });

  it('is refused when topic, key or last event are none', () => {
    const query = new URLSearchParams();
    expect(refusal(() => parseStreamRequest({ topic: 'a/b', query, isOneWay: true }))).toBe('INVALID_TOPIC');
    expect(refusal(() => parse('key=a%23'))).toBe(undefined);
    expect(refusal(() => parse('group=g&key=a%23'))).toBe('INVALID_FILTER');
    expect(refusal(() => parse('', { lastEventId: 'x' }))).toBe('INVALID_ARGUMENT');
  });

  it.each(['queue=', 'credit=5', 'group=g&commit=manual'])('is refused of an event stream: %s', (query) => {
    expect(refusal(() => parse(query, { isOneWay: true }))).toBe('UNSUPPORTED');
  });
});
