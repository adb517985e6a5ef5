import { describe, expect, it } from 'vitest';
import { recordPrinter } from '../../../src/cli/records/record-format.ts';
import type { PrintedRecord, RecordFormat } from '../../../src/cli/records/record-format.ts';

const RECORD: PrintedRecord = {
  topic: 'sensors',
  partition: 2,
  offset: 41,
  timestampMs: Date.UTC(2026, 0, 31, 12),
  key: Buffer.from('room1/temp'),
  value: Buffer.from('21.5'),
  headers: [],
};

function print(format: RecordFormat, change: Partial<PrintedRecord> = {}, separator?: string): string {
  return Buffer.from(recordPrinter(format, separator)({ ...RECORD, ...change })).toString('latin1');
}

describe('recordPrinter', () => {
  it('prints a value and a line end', () => {
    expect(print('value')).toBe('21.5\n');
  });

  it('prints key, separator and value', () => {
    expect(print('value', {}, ' = ')).toBe('room1/temp = 21.5\n');
  });

  it('adds what else is known of it to JSON only', () => {
    const line = Buffer.from(recordPrinter('json', undefined)(RECORD, { attempt: 2 })).toString();
    expect(JSON.parse(line)).toMatchObject({ offset: 41, attempt: 2 });
    expect(Buffer.from(recordPrinter('value', undefined)(RECORD, { attempt: 2 })).toString()).toBe('21.5\n');
  });

  it('prints nothing but the bytes when raw', () => {
    expect(print('raw', { value: Buffer.from([0, 255]) })).toBe('\x00\xff');
  });

  it('prints JSON on one line', () => {
    expect(print('json')).toBe(
      '{"topic":"sensors","partition":2,"offset":41,"timestamp":"2026-01-31T12:00:00.000Z","key":"room1/temp","value":"21.5"}\n',
    );
  });

  it('never guesses: what is not UTF-8 is base64 under another name', () => {
    expect(JSON.parse(print('json', { value: Buffer.from([0xff]) }))).toMatchObject({ valueBase64: '/w==' });
  });

  it('tells no key and no value from empty ones', () => {
    expect(JSON.parse(print('json', { key: null, value: Buffer.alloc(0) }))).toMatchObject({
      key: null,
      value: '',
    });
  });

  it('shows headers in order', () => {
    const headers = [
      { key: 'b', value: Buffer.from('1') },
      { key: 'a', value: null },
    ];
    expect(JSON.parse(print('json', { headers }))).toMatchObject({
      headers: [
        { key: 'b', value: '1' },
        { key: 'a', value: null },
      ],
    });
  });
});
