import { describe, expect, it } from 'vitest';
import { changesOf, commitsOf, withRelease } from '../../.ci/release/changelog.ts';

const LOG = [
  '\0A node that drains tells its clients\n\nsrc/node/node.ts\ndocs/operations.md\n',
  '\0The chart has one more value\n\ndeploy/k8s/helm/sluice/values.yaml\ndocs/containers.md\n',
  '\0Tests: charts\n\ntest/bench/chart.test.ts\n',
  '\0docs/sdk.md names all errors\n\ndocs/sdk.md\n',
  '\0A node that drains tells its clients\n\nsrc/broker/broker.ts\n',
].join('');

const CHANGELOG = `# Changelog

What users notice.

## Unreleased

By hand.

## 0.1.0 (2026-01-02)

The first.
`;

describe('what commits say', () => {
  it('is told by what they touch, once, without what only developers notice', () => {
    expect(changesOf(commitsOf(LOG))).toBe(
      [
        '### Nodes, SDK and command line\n\n* A node that drains tells its clients\n',
        '### Image and deployment\n\n* The chart has one more value\n',
        '### Documents and examples\n\n* docs/sdk.md names all errors\n',
      ].join('\n'),
    );
  });

  it('is nothing where nothing else was touched', () => {
    expect(changesOf(commitsOf('\0Tests: charts\n\ntest/bench/chart.test.ts\n'))).toBe('');
    expect(commitsOf('')).toEqual([]);
  });
});

describe('a release in the changelog', () => {
  it('has what was written by hand and what commits say, under an empty section for what comes', () => {
    expect(withRelease(CHANGELOG, '0.2.0', '2026-02-03', '### Kind\n\n* New\n')).toBe(`# Changelog

What users notice.

## Unreleased

## 0.2.0 (2026-02-03)

By hand.

### Kind

* New

## 0.1.0 (2026-01-02)

The first.
`);
  });

  it('can be followed by another one', () => {
    const once = withRelease(CHANGELOG, '0.2.0', '2026-02-03', '');
    const twice = withRelease(once, '0.2.1', '2026-02-04', '* Mended\n');
    expect(twice.match(/^## .*/gm)).toEqual([
      '## Unreleased',
      '## 0.2.1 (2026-02-04)',
      '## 0.2.0 (2026-02-03)',
      '## 0.1.0 (2026-01-02)',
    ]);
  });

  it('can be the first', () => {
    const text = withRelease('# Changelog\n\n## Unreleased\n\nAll of it.\n', '0.1.0', '2026-01-02', '');
    expect(text).toBe('# Changelog\n\n## Unreleased\n\n## 0.1.0 (2026-01-02)\n\nAll of it.\n');
  });

  it('says something', () => {
    const empty = withRelease(CHANGELOG, '0.2.0', '2026-02-03', '');
    expect(() => withRelease(empty, '0.2.1', '2026-02-04', '')).toThrow(/nothing has changed/);
    expect(() => withRelease('# Changelog\n', '0.2.1', '2026-02-04', '* New')).toThrow(/Unreleased/);
  });
});
