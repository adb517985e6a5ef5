import { describe, expect, it } from 'vitest';
import type { RecordEncoding } from '../../src/wire/record-json.ts';
import { parseRecordEncoding, recordJson } from '../../src/wire/record-json.ts';
import type { WireRecord } from '../../src/wire/record-cursor.ts';

const PLACE = { topic: 'orders', partition: 3 };
const BINARY = Buffer.from([0xff, 0x00, 0xfe]);

function record(parts: Partial<WireRecord> = {}): WireRecord {
  return { offset: 41, timestampMs: 1700, key: null, value: null, headers: [], ...parts };
}

function json(parts: Partial<WireRecord>, encoding: RecordEncoding = 'auto'): unknown {
  return JSON.parse(recordJson(record(parts), PLACE, encoding));
}

describe('JSON of a record', () => {
  it('has the place, and text where all is text', () => {
    const parts = { key: Buffer.from('a"b'), value: Buffer.from('zwölf\n'), headers: [] };
    expect(json(parts)).toEqual({
      ...{
        topic: 'orders',
        partition: 3,
        offset: 41,
        timestamp: 1700,
        key: 'a"b',
        value: 'zwölf\n',
        headers: {},
      },
    });
  });

  it('tells what is not there from what is empty', () => {
    expect(json({ value: Buffer.alloc(0) })).toMatchObject({ key: null, value: '' });
  });

  it.each([{ key: BINARY }, { value: BINARY }, { headers: [{ key: 'h', value: BINARY }] }])(
    'is base64 altogether where something is no text: %j',
    (part) => {
      const parts = { key: Buffer.from('k'), value: Buffer.from('v'), ...part };
      const { key, value, encoding } = json(parts) as Record<string, string>;
      expect(encoding).toBe('base64');
      expect([Buffer.from(key!, 'base64'), Buffer.from(value!, 'base64')]).toEqual([parts.key, parts.value]);
    },
  );

  it('is base64 where that is asked for, also of text', () => {
    expect(json({ value: Buffer.from('v') }, 'base64')).toMatchObject({ value: 'dg==', encoding: 'base64' });
  });

  it('holds a JSON document as that', () => {
    const parts = { value: Buffer.from('{ "a":\n [1] }') };
    expect(json(parts, 'json')).toMatchObject({ value: { a: [1] }, encoding: 'json' });
    expect(recordJson(record(parts), PLACE, 'json')).not.toContain('\n');
    expect(recordJson(record({ value: Buffer.from('12345678901234567890') }), PLACE, 'json')).toContain(
      '"value":12345678901234567890,',
    );
  });

  it('holds as text what should be a JSON document and is none', () => {
    const found = json({ value: Buffer.from('{') }, 'json');
    expect(found).toMatchObject({ value: '{' });
    expect(found).not.toHaveProperty('encoding');
  });

  it('lists a header that comes more than once', () => {
    const headers = ['a', 'b'].map((text) => ({ key: 'tag', value: Buffer.from(text) }));
    expect(json({ headers: [...headers, { key: '__proto__', value: null }] })).toMatchObject({
      headers: { tag: ['a', 'b'], ['__proto__']: null },
    });
  });

  it('has token and attempt of a lease', () => {
    const text = recordJson(record(), PLACE, 'auto', { token: '3.z.15', attempt: 2 });
    expect(JSON.parse(text)).toMatchObject({ token: '3.z.15', attempt: 2 });
  });

  it('knows its encodings', () => {
    expect([parseRecordEncoding(undefined), parseRecordEncoding('json')]).toEqual(['auto', 'json']);
    expect(() => parseRecordEncoding('hex')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
