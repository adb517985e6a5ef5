import { describe, expect, it } from 'vitest';
import { imageTags, isTrial, nextVersion } from '../../.ci/release/version.ts';

describe('the next version', () => {
  it.each([
    ['1.4.2', 'patch', '1.4.3'],
    ['1.4.2', 'minor', '1.5.0'],
    ['1.4.2', 'major', '2.0.0'],
    ['1.5.0-rc.2', 'patch', '1.5.0'],
    ['2.0.0-rc.1', 'major', '2.0.0'],
    ['1.5.0-rc.2', 'major', '2.0.0'],
    ['1.5.0-rc.2', 'minor', '1.5.0'],
    ['2.0.0-rc.1', 'minor', '2.0.0'],
    ['1.5.1-rc.1', 'minor', '1.6.0'],
    ['1.4.2', '1.4.10', '1.4.10'],
    ['1.4.2', '1.5.0-rc.1', '1.5.0-rc.1'],
    ['1.5.0-rc.2', '1.5.0-rc.10', '1.5.0-rc.10'],
    ['1.5.0-rc.10', '1.5.0', '1.5.0'],
  ])('after %s, %s is %s', (current, wanted, next) => {
    expect(nextVersion(current, wanted, true)).toBe(next);
  });

  it.each([
    ['1.4.2', '1.4.1'],
    ['1.4.10', '1.4.9'],
    ['1.5.0', '1.5.0-rc.1'],
    ['1.4.2', '1.4.2'],
    ['1.4.2', 'v1.4.3'],
    ['1.4.2', 'next'],
  ])('after %s, %s is refused', (current, wanted) => {
    expect(() => nextVersion(current, wanted, true)).toThrow(RangeError);
  });

  it('is the current one while that has not been released', () => {
    expect(nextVersion('0.1.0', '0.1.0', false)).toBe('0.1.0');
  });
});

describe('tags of the image', () => {
  it('are those that follow the latest, and the version itself', () => {
    expect(imageTags('1.4.2')).toEqual(['1.4.2', '1.4', '1', 'latest']);
    expect(isTrial('1.4.2')).toBe(false);
  });

  it('move for no trial', () => {
    expect(imageTags('1.5.0-rc.1')).toEqual(['1.5.0-rc.1']);
    expect(isTrial('1.5.0-rc.1')).toBe(true);
  });
});
