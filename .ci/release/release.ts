import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LOG_FORMAT, changesOf, commitsOf, withRelease } from './changelog.ts';
import { STAMPED, stamp } from './stamp.ts';
import { imageTags, isTrial, nextVersion } from './version.ts';

/** A program and its arguments. */
type Command = readonly string[];

/** How commands are run. */
export interface Shell {
  /** Shows what the command prints. @throws Error when it ends with anything but 0 */
  run(command: Command, folder: string): void;
  /** What it prints, without the last line's end. @throws as {@link run} */
  read(command: Command, folder: string): string;
}

/** What is to be released, and where it goes. */
export interface ReleaseOptions {
  /** The repository's top folder. */
  readonly root: string;
  /** An empty folder to work in: removed when all is done, and left where something remains to be done. */
  readonly scratch: string;
  /** See {@link nextVersion}. */
  readonly wanted: string;
  /** Of the image, with its registry, without a tag. */
  readonly image: string;
  /** Which releases are made from, and pushed to. */
  readonly branch: string;
  /** YYYY-MM-DD */
  readonly date: string;
  /** Does everything but what others would see. */
  readonly isDryRun: boolean;
}

/** Checks of `npm test` that a release repeats; what takes longer has been done for the commit before. */
const CHECKS = ['types', 'lint', 'layers', 'deadcode', 'proto', 'generated', 'test:unit'];

/**
 * Makes a release in a clone, so that the work tree stays as it is: version, changelog, checks, package, image, commit and tag. Then, unless it
 * is a dry run, pushes commit and tag, then the image, and publishes the package: where somebody has pushed meanwhile, nothing is published.
 *
 * @param say is told what happens
 * @returns the version
 * @throws Error when something is not as it should be; nothing has been published then, or it says what remains to be done
 */
export function release(options: ReleaseOptions, shell: Shell, say: (line: string) => void): string {
  let isLeft = false;
  try {
    const version = checkStart(options, shell);
    const tree = clone(options, shell);
    const packages = join(options.scratch, 'packages');
    mkdirSync(packages);
    say(`version ${version}, in ${tree}`);
    writeVersion(options, shell, tree, version);
    // From package-lock.json alone, and built: nothing of the work tree.
    shell.run(['npm', 'ci', '--no-audit', '--no-fund'], tree);
    shell.run(['node', '.ci/verify.ts', ...CHECKS], tree);
    shell.run(['node', '.ci/check-package.ts', packages], tree);
    const images = imageTags(version).map((tag) => `${options.image}:${tag}`);
    buildImage(images, shell, tree, version);
    commit(shell, tree, version);
    const tarball = join(packages, readdirSync(packages)[0]!);
    carryOut(pushes(options, tree, version), options, shell, say);
    isLeft = !options.isDryRun;
    publish(publication(version, images, tarball), options, shell, say);
    isLeft = false;
    return version;
  } finally {
    if (!isLeft) rmSync(options.scratch, { recursive: true, force: true });
  }
}

/** @returns the version to release. @throws Error when this is not what releases are made from */
function checkStart({ root, wanted, branch }: ReleaseOptions, shell: Shell): string {
  if (shell.read(['git', 'status', '--porcelain'], root) !== '')
    throw new Error('the work tree has changes that are not committed');
  const here = shell.read(['git', 'rev-parse', '--abbrev-ref', 'HEAD'], root);
  if (here !== branch) throw new Error(`releases are made from ${branch}, and this is ${here}`);
  shell.run(['git', 'fetch', '--quiet', '--tags', 'origin', `refs/heads/${branch}`], root);
  const theirs = shell.read(['git', 'rev-parse', 'FETCH_HEAD'], root);
  if (shell.read(['git', 'rev-parse', 'HEAD'], root) !== theirs)
    throw new Error(`${branch} is not what it is at the origin: ${theirs}`);
  const current = currentVersion(root);
  const isReleased = (version: string): boolean =>
    shell.read(['git', 'tag', '--list', `v${version}`], root) !== '';
  const version = nextVersion(current, wanted, isReleased(current));
  if (isReleased(version)) throw new Error(`${version} has been released`);
  return version;
}

function clone({ root, branch, scratch }: ReleaseOptions, shell: Shell): string {
  const tree = join(scratch, 'sluice');
  shell.run(['git', 'clone', '--quiet', '--branch', branch, root, tree], scratch);
  return tree;
}

function writeVersion({ root, date }: ReleaseOptions, shell: Shell, tree: string, version: string): void {
  const current = currentVersion(root);
  const changelog = join(tree, 'CHANGELOG.md');
  const text = readFileSync(changelog, 'utf8');
  writeFileSync(changelog, withRelease(text, version, date, newIn(tree, shell, text)));
  if (version === current) return;
  shell.run(['npm', 'version', version, '--no-git-tag-version', '--ignore-scripts'], tree);
  stamp(tree, current, version);
}

/** What commits say since the last release. Everything that was done before the first one is not what it changes. */
function newIn(tree: string, shell: Shell, changelog: string): string {
  const tags = shell.read(['git', 'tag', '--list', 'v*', '--merged', 'HEAD', '--sort=-creatordate'], tree);
  const [last] = tags.split('\n').filter((tag) => tag !== '');
  if (last !== undefined)
    return changesOf(commitsOf(shell.read(['git', 'log', `${last}..HEAD`, ...LOG_FORMAT], tree)));
  if (/^## \d/m.test(changelog)) throw new Error('the tags of earlier releases are not at the origin');
  return '';
}

function buildImage(images: readonly string[], shell: Shell, tree: string, version: string): void {
  const tags = images.flatMap((image) => ['--tag', image]);
  const label = `org.opencontainers.image.version=${version}`;
  shell.run(['docker', 'build', '--network', 'host', '--label', label, ...tags, '.'], tree);
  const told = shell.read(['docker', 'run', '--rm', images[0]!, '--version'], tree);
  if (told !== version) throw new Error(`the image says that it is ${told}`);
}

function commit(shell: Shell, tree: string, version: string): void {
  const files = ['CHANGELOG.md', 'package.json', 'package-lock.json', ...STAMPED];
  shell.run(['git', 'add', '--', ...files], tree);
  shell.run(['git', 'commit', '--quiet', '--message', `Version ${version}`], tree);
  shell.run(['git', 'tag', '--annotate', `v${version}`, '--message', `Version ${version}`], tree);
}

/** Commit and tag to the origin, from the work tree, which knows how to get there; no tag stays in the work tree where the origin refuses it. */
function pushes({ branch }: ReleaseOptions, tree: string, version: string): readonly Command[] {
  const tag = `refs/tags/v${version}`;
  const refs = [`FETCH_HEAD^{commit}:refs/heads/${branch}`, `FETCH_HEAD:${tag}`];
  return [
    ['git', 'fetch', '--quiet', tree, tag],
    ['git', 'push', '--quiet', '--atomic', 'origin', ...refs],
  ];
}

/** What is made of a version that is at the origin; the one that cannot be taken back comes last. */
function publication(version: string, images: readonly string[], tarball: string): readonly Command[] {
  return [
    ...images.map((image) => ['docker', 'push', '--quiet', image]),
    ['npm', 'publish', '--access', 'public', '--tag', isTrial(version) ? 'next' : 'latest', tarball],
  ];
}

/** @throws Error that says what remains to be done */
function publish(
  commands: readonly Command[],
  options: ReleaseOptions,
  shell: Shell,
  say: (line: string) => void,
): void {
  for (const [n, command] of commands.entries()) {
    try {
      carryOut([command], options, shell, say);
    } catch (error) {
      const left = commands.slice(n).map((one) => `  ${one.join(' ')}`);
      throw new Error(`what remains to be done, in ${options.root}:\n${left.join('\n')}`, { cause: error });
    }
  }
}

/** Others see something of these: a dry run only says what they are. */
function carryOut(
  commands: readonly Command[],
  { root, isDryRun }: ReleaseOptions,
  shell: Shell,
  say: (line: string) => void,
): void {
  for (const command of commands) {
    if (isDryRun) say(`not done: ${command.join(' ')}`);
    else shell.run(command, root);
  }
}

function currentVersion(root: string): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
}
