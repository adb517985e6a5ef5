import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ReleaseOptions, Shell } from '../../.ci/release/release.ts';
import { release } from '../../.ci/release/release.ts';
import { STAMPED } from '../../.ci/release/stamp.ts';

const PROJECT = new URL('../..', import.meta.url).pathname;
const IDENTITY = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.org'];

let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-release-test-'));
  root = join(folder, 'work');
  const origin = join(folder, 'origin.git');
  mkdirSync(root);
  git(folder, 'init', '--quiet', '--bare', '--initial-branch', 'main', origin);
  git(root, 'init', '--quiet', '--initial-branch', 'main');
  git(root, 'remote', 'add', 'origin', origin);
  for (const file of ['package.json', 'package-lock.json', '.gitignore', ...STAMPED]) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    cpSync(join(PROJECT, file), join(root, file));
  }
  writeFileSync(join(root, 'CHANGELOG.md'), '# Changelog\n\n## Unreleased\n\nAll of it.\n');
  commit('A beginning', '.');
  git(root, 'push', '--quiet', 'origin', 'main');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a release', () => {
  it('is a commit and a tag at the origin, a package and an image with all its tags', () => {
    const commands = run({ wanted: '1.0.0' });
    expect(git(root, 'ls-remote', '--tags', 'origin')).toMatch(/refs\/tags\/v1\.0\.0$/m);
    const shown = git(join(folder, 'origin.git'), 'show', '--name-only', '--format=%s', 'main');
    expect(shown.split('\n').toSorted()).toEqual(
      ['', 'CHANGELOG.md', 'Version 1.0.0', 'package-lock.json', 'package.json', ...STAMPED].toSorted(),
    );
    expect(commands.filter((command) => /^docker push/.test(command))).toEqual(
      ['1.0.0', '1.0', '1', 'latest'].map((tag) => `docker push --quiet images.example/sluice:${tag}`),
    );
    expect(commands.filter((command) => /^npm publish/.test(command))).toEqual([
      expect.stringMatching(/--tag latest \S+\/sluice\.tgz$/),
    ]);
  });

  it('names its version wherever one is named', () => {
    run({ wanted: '1.0.0' });
    const shown = (file: string): string => git(join(folder, 'origin.git'), 'show', `main:${file}`);
    const current = versionOf(root);
    for (const file of STAMPED) {
      expect(shown(file)).not.toContain(current);
      expect(shown(file)).toContain('1.0.0');
    }
    for (const file of ['package.json', 'package-lock.json'])
      expect(JSON.parse(shown(file))).toMatchObject({ version: '1.0.0' });
  });

  it('tells what has changed since the one before', () => {
    run({ wanted: '1.0.0' });
    git(root, 'pull', '--quiet', 'origin', 'main');
    mkdirSync(join(root, 'src'));
    writeFileSync(join(root, 'src/new.ts'), 'export {};\n');
    commit('A node does more', 'src/new.ts');
    git(root, 'push', '--quiet', 'origin', 'main');
    run({ wanted: 'minor' });
    const text = git(join(folder, 'origin.git'), 'show', 'main:CHANGELOG.md');
    expect(text).toContain(
      '## 1.1.0 (2026-02-03)\n\n### Nodes, SDK and command line\n\n* A node does more\n',
    );
    expect(text).toContain('## 1.0.0 (2026-02-03)\n\nAll of it.');
  });

  it('is checked, packed and built before anybody sees it, and leaves the work tree alone', () => {
    const before = git(root, 'rev-parse', 'HEAD');
    const commands = run({ wanted: '1.0.0' });
    const firstOf = (pattern: RegExp): number => commands.findIndex((command) => pattern.test(command));
    const seen = firstOf(/^(docker push|npm publish|git push)/);
    for (const earlier of [/verify\.ts .*types.*test:unit/, /npm ci/, /check-package\.ts/, /docker build/]) {
      expect(firstOf(earlier)).toBeGreaterThanOrEqual(0);
      expect(firstOf(earlier)).toBeLessThan(seen);
    }
    expect([git(root, 'rev-parse', 'HEAD'), git(root, 'status', '--porcelain')]).toEqual([before, '']);
  });

  it('of a trial moves nothing that others follow', () => {
    const commands = run({ wanted: '1.0.0-rc.1' });
    expect(commands.filter((command) => /^docker push/.test(command))).toHaveLength(1);
    expect(commands.filter((command) => /^npm publish .*--tag next /.test(command))).toHaveLength(1);
  });
});

describe('a dry run', () => {
  it('does all but what others would see, and says what that is', () => {
    const lines: string[] = [];
    const refs = git(root, 'ls-remote', 'origin');
    const dry = run({ wanted: '1.0.0', isDryRun: true }, (line) => lines.push(line));
    expect(git(root, 'ls-remote', 'origin')).toBe(refs);
    const real = run({ wanted: '1.0.0' });
    const isSeen = (command: string): boolean =>
      /^(docker push|npm publish|git fetch --quiet \/|git push)/.test(command);
    expect(dry.filter(isSeen)).toEqual([]);
    expect(dry.map(nameOf)).toEqual(real.filter((command) => !isSeen(command)).map(nameOf));
    const notDone = lines.filter((line) => line.startsWith('not done: '));
    expect(notDone).toHaveLength(real.filter(isSeen).length);
  });

  it.each([true, false])('leaves nothing behind, nor does a release: %s', (isDryRun) => {
    run({ wanted: '1.0.0', isDryRun });
    expect(readdirSync(folder).filter((name) => name.startsWith('scratch-'))).toEqual([]);
  });
});

describe('nothing is released', () => {
  it('with changes that are not committed', () => {
    writeFileSync(join(root, 'more.txt'), '');
    expect(() => run({ wanted: '1.0.0' })).toThrow(/not committed/);
  });

  it('from another branch', () => {
    git(root, 'checkout', '--quiet', '-b', 'other');
    expect(() => run({ wanted: '1.0.0' })).toThrow(/main/);
  });

  it('twice', () => {
    git(root, 'tag', 'v1.0.0');
    expect(() => run({ wanted: '1.0.0' })).toThrow(/has been released/);
  });

  it('without the tags of earlier releases, which say what is new', () => {
    run({ wanted: '1.0.0' });
    git(root, 'pull', '--quiet', 'origin', 'main');
    git(root, 'push', '--quiet', '--delete', 'origin', 'v1.0.0');
    expect(() => run({ wanted: 'minor' })).toThrow(/tags of earlier releases/);
  });

  it('from what is not at the origin', () => {
    commitMore();
    expect(() => run({ wanted: '1.0.0' })).toThrow(/is not what it is at the origin/);
  });

  it('from what the origin has gone on from', () => {
    pushMore();
    expect(() => run({ wanted: '1.0.0' })).toThrow(/is not what it is at the origin/);
  });

  it('when somebody pushes meanwhile, and can be once that is here', () => {
    const commands: string[] = [];
    const trouble = { commands, meanwhile: pushMore };
    expect(() => run({ wanted: '1.0.0' }, undefined, trouble)).toThrow(/git push/);
    expect(commands.some((command) => /^(docker push|npm publish)/.test(command))).toBe(false);
    expect(git(root, 'ls-remote', '--tags', 'origin')).toBe('');
    git(root, 'pull', '--quiet', 'origin', 'main');
    expect(run({ wanted: '1.0.0' }).at(-1)).toMatch(/^npm publish/);
  });

  it('when a check fails', () => {
    const commands: string[] = [];
    expect(() => run({ wanted: '1.0.0' }, undefined, { commands, failing: /verify\.ts/ })).toThrow(/verify/);
    expect(commands.some((command) => /push|publish/.test(command))).toBe(false);
  });

  it('when the image is not of that version', () => {
    expect(() => run({ wanted: '1.0.0' }, undefined, { told: '0.9.0' })).toThrow(/0\.9\.0/);
  });
});

describe('a release that could not be finished', () => {
  it('says what remains to be done', () => {
    expect(() => run({ wanted: '1.0.0' }, undefined, { failing: /^npm publish/ })).toThrow(
      /^what remains to be done, in .*\n {2}npm publish .*$/,
    );
  });
});

interface Trouble {
  /** Takes the commands that were run, also when it throws. */
  readonly commands?: string[];
  readonly failing?: RegExp;
  /** What the image says of its version. */
  readonly told?: string;
  /** Happens while the release is made. */
  readonly meanwhile?: () => void;
}

/** @returns the commands that were run; git's are carried out, of npm those that write a version */
function run(
  options: Partial<ReleaseOptions> & { readonly wanted: string },
  say: (line: string) => void = () => undefined,
  { commands = [], failing, told, meanwhile }: Trouble = {},
): string[] {
  const read = (command: readonly string[], cwd: string): string => {
    const [program, ...argv] = command;
    const line = command.join(' ');
    commands.push(line);
    if (failing?.test(line)) throw new Error(line);
    if (program === 'git') return git(cwd, ...argv);
    if (line.startsWith('npm ci')) meanwhile?.();
    if (line.startsWith('npm version')) execFileSync('npm', argv, { cwd, stdio: 'ignore' });
    if (line.startsWith('docker run')) return told ?? versionOf(cwd);
    const [, script, packages] = command;
    if (script === '.ci/check-package.ts') writeFileSync(join(packages!, 'sluice.tgz'), '');
    return '';
  };
  const shell: Shell = { read, run: (command, cwd) => void read(command, cwd) };
  const scratch = mkdtempSync(join(folder, 'scratch-'));
  const usual = {
    root,
    scratch,
    image: 'images.example/sluice',
    branch: 'main',
    date: '2026-02-03',
    isDryRun: false,
  };
  release({ ...usual, ...options }, shell, say);
  return commands;
}

/** A command without folders, which differ each time. */
function nameOf(command: string): string {
  return command.replaceAll(/\/\S+/g, '…');
}

/** A commit in the work tree that the origin has not. */
function commitMore(): void {
  writeFileSync(join(root, 'more.txt'), '');
  commit('More', 'more.txt');
}

/** A commit at the origin that the work tree has not. */
function pushMore(): void {
  commitMore();
  git(root, 'push', '--quiet', 'origin', 'main');
  git(root, 'reset', '--quiet', '--hard', 'HEAD~1');
}

function commit(message: string, path: string): void {
  git(root, 'add', path);
  git(root, 'commit', '--quiet', '--message', message);
}

function git(cwd: string, ...argv: string[]): string {
  return execFileSync('git', [...IDENTITY, ...argv], { cwd, encoding: 'utf8', stdio: 'pipe' }).trimEnd();
}

function versionOf(tree: string): string {
  return (JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as { version: string }).version;
}
