import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const PROJECT = new URL('../..', import.meta.url).pathname;
const PAGES = ['.', 'docs', 'docs/adr', '.ci'].flatMap((folder) =>
  readdirSync(join(PROJECT, folder)).flatMap((name) => (name.endsWith('.md') ? [join(folder, name)] : [])),
);

describe('documents', () => {
  it.each(PAGES)('link to files that there are: %s', (page) => {
    const text = readFileSync(join(PROJECT, page), 'utf8');
    expect(filesIn(text).filter((file) => !existsSync(join(PROJECT, dirname(page), file)))).toEqual([]);
  });

  it('are all looked through', () => {
    expect(PAGES).toEqual(expect.arrayContaining(['README.md', 'CONTRIBUTING.md', 'docs/architecture.md']));
    expect(filesIn('[a](b.md#c), [d](https://example.org/e), ![f](g.svg), [h](#i)')).toEqual([
      'b.md',
      'g.svg',
    ]);
  });
});

/** Files that links lead to; not those of elsewhere. */
function filesIn(text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!.split('#')[0]!);
  return targets.filter((target) => target !== '' && !/^[a-z]+:/.test(target));
}
