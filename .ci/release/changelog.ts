/** What CHANGELOG.md says of a release: what was written there by hand, and what the messages of its commits say. */

/** A commit as `git log` tells it. */
export interface Commit {
  /** The message's first line: what is true now. */
  readonly subject: string;
  readonly files: readonly string[];
}

/** How {@link commitsOf} wants `git log` to print. */
export const LOG_FORMAT = ['--no-merges', '--format=%x00%s', '--name-only'] as const;

const UNRELEASED = '## Unreleased';

/** Headings, and the files whose commits are told under them. A commit is told once, under the first that fits; others are for developers only. */
const KINDS: readonly (readonly [heading: string, files: RegExp])[] = [
  ['Nodes, SDK and command line', /^(src|bin|proto)\//],
  ['Image and deployment', /^(deploy\/|Dockerfile$|compose\.yaml$)/],
  ['Documents and examples', /^(docs|examples)\//],
];

/** @param log what `git log` prints with {@link LOG_FORMAT} */
export function commitsOf(log: string): Commit[] {
  const parts = log.split('\0').slice(1);
  return parts.map((part) => {
    const [subject = '', ...files] = part.split('\n').filter((line) => line !== '');
    return { subject, files };
  });
}

/** A list for each kind of change that there is; empty when all commits are for developers only. */
export function changesOf(commits: readonly Commit[]): string {
  const kindOf = ({ files }: Commit): string | undefined =>
    KINDS.find(([, pattern]) => files.some((file) => pattern.test(file)))?.[0];
  return KINDS.flatMap(([heading]) => {
    const subjects = commits.filter((commit) => kindOf(commit) === heading).map(({ subject }) => subject);
    const lines = [...new Set(subjects)].map((subject) => `* ${subject}`);
    return lines.length === 0 ? [] : [`### ${heading}\n\n${lines.join('\n')}\n`];
  }).join('\n');
}

/**
 * Turns what is unreleased into the section of a version, with an empty one before it.
 *
 * @param date of the release, YYYY-MM-DD
 * @param changes what {@link changesOf} found
 * @throws Error when there is no such section, or nothing to say in it
 */
export function withRelease(changelog: string, version: string, date: string, changes: string): string {
  const start = changelog.indexOf(`${UNRELEASED}\n`);
  if (start < 0) throw new Error(`CHANGELOG.md has no section "${UNRELEASED}"`);
  const rest = changelog.slice(start + UNRELEASED.length + 1);
  const end = rest.indexOf('\n## ');
  const [written, older] = end < 0 ? [rest, ''] : [rest.slice(0, end), rest.slice(end + 1)];
  const text = [written.trim(), changes.trim()].filter((part) => part !== '').join('\n\n');
  if (text === '') throw new Error('nothing has changed that CHANGELOG.md could tell');
  const sections = [`${UNRELEASED}\n`, `## ${version} (${date})\n\n${text}\n`, older].filter(
    (part) => part !== '',
  );
  return changelog.slice(0, start) + sections.join('\n');
}
