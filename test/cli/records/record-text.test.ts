import { describe, expect, it } from 'vitest';
import { parsePlace, placeText, shortText } from '../../../src/cli/records/record-text.ts';

describe('shortText', () => {
  it.each([
    ['plain', 'plain'],
    ['two\nlines\tand \x1b[2Jmore', 'two lines and  [2Jmore'],
    ['x'.repeat(48), 'x'.repeat(48)],
    ['x'.repeat(49), `${'x'.repeat(47)}…`],
    ['', ''],
  ])('shows %j on one line', (text, shown) => {
    expect(shortText(Buffer.from(text))).toBe(shown);
  });

  it('says how much there is of what is no text, and that there is none', () => {
    expect(shortText(Buffer.from([255, 254]))).toBe('<2 bytes>');
    expect(shortText(null)).toBe('-');
  });
});

describe('the place of a record', () => {
  it('is read as it is written', () => {
    const place = { partition: 12, offset: 9_007_199_254_740_991 };
    expect(parsePlace(placeText(place))).toEqual(place);
  });

  it.each(['', '17', '0:', ':1', '0:-1', '0:1.5', '0:9007199254740992', '0:1:2', '0x1:1'])(
    'is not %j',
    (text) => {
      expect(() => parsePlace(text)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error);
    },
  );
});
