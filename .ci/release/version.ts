/** What a release is called: its version, and the tags of its image. */

const PATTERN = /^(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/;

interface Version {
  readonly numbers: readonly [number, number, number];
  /** `rc.1` of 1.2.0-rc.1; undefined for a version that is no trial. */
  readonly trial: string | undefined;
}

/**
 * The version that comes after another one. After a trial, `major`, `minor` and `patch` are what it was a trial of, where it was one of such a version.
 *
 * @see `npm version`, which counts so
 * @param wanted `major`, `minor`, `patch`, or a version, which must be later than `current`; the same while `current` has not been released
 * @param isReleased whether `current` has been
 * @throws RangeError when `wanted` is none of these
 */
export function nextVersion(current: string, wanted: string, isReleased: boolean): string {
  const next = nextPart(parse(current), wanted);
  if (next !== undefined) return next;
  const order = compare(parse(wanted), parse(current));
  if (order < 0 || (order === 0 && isReleased)) throw new RangeError(`${wanted} is not after ${current}`);
  return wanted;
}

function nextPart({ numbers, trial }: Version, wanted: string): string | undefined {
  const [major, minor, patch] = numbers;
  const isTried = trial !== undefined;
  switch (wanted) {
    case 'major':
      return isTried && minor === 0 && patch === 0 ? `${major}.0.0` : `${major + 1}.0.0`;
    case 'minor':
      return isTried && patch === 0 ? `${major}.${minor}.0` : `${major}.${minor + 1}.0`;
    case 'patch':
      return `${major}.${minor}.${isTried ? patch : patch + 1}`;
    default:
      return undefined;
  }
}

/** Whether a version is one to try out: it moves no tag that others follow. */
export function isTrial(version: string): boolean {
  return parse(version).trial !== undefined;
}

/** Tags of the image of a version: itself, and those that always mean the latest of their kind. */
export function imageTags(version: string): string[] {
  const { numbers, trial } = parse(version);
  const [major, minor] = numbers;
  return trial === undefined ? [version, `${major}.${minor}`, `${major}`, 'latest'] : [version];
}

function parse(text: string): Version {
  const match = PATTERN.exec(text);
  if (!match) throw new RangeError(`${text} is neither major, minor, patch nor a version such as 1.2.3`);
  return { numbers: [Number(match[1]), Number(match[2]), Number(match[3])], trial: match[4] };
}

function compare(a: Version, b: Version): number {
  for (const [n, number] of a.numbers.entries()) {
    if (number !== b.numbers[n]) return number - b.numbers[n]!;
  }
  if (a.trial === b.trial) return 0;
  if (a.trial === undefined) return 1;
  if (b.trial === undefined) return -1;
  return a.trial.localeCompare(b.trial, 'en', { numeric: true });
}
