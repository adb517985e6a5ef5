import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { StateFile } from '../../../src/coordination/embedded/state-file.ts';
import { storageError } from '../../../src/kernel/storage-error.ts';

const schema = z.strictObject({ count: z.number() });

let directory: string;
let path: string;
const coded = (code: string): Error => expect.objectContaining({ code }) as Error;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-state-'));
  path = join(directory, 'state.json');
});

afterEach(() => rm(directory, { recursive: true, force: true }));

describe('a state file', () => {
  it('has every update that resolved, in order', async () => {
    const file = await StateFile.create(path, { count: 0 });
    const results = await Promise.all(
      Array.from({ length: 100 }, () => file.update(({ count }) => ({ count: count + 1 }))),
    );
    expect(results.map(({ count }) => count)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    const again = await StateFile.open(path, schema);
    expect(again!.state).toEqual({ count: 100 });
  });

  it('refuses one update and does the others that came with it', async () => {
    const file = await StateFile.create(path, { count: 0 });
    const add = () => file.update(({ count }) => ({ count: count + 1 }));
    const refused = file.update(() => {
      throw new RangeError('no');
    });
    const results = await Promise.allSettled([add(), refused, add()]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(file.state).toEqual({ count: 2 });
  });

  it('is as before when it cannot be written, and leaves nothing lying about', async () => {
    const file = await StateFile.create(path, { count: 0 });
    await rm(directory, { recursive: true });
    await expect(file.update(() => ({ count: 1 }))).rejects.toThrow(coded('STORAGE_FAILED'));
    expect(file.state).toEqual({ count: 0 });
  });

  it('leaves no temporary file', async () => {
    const file = await StateFile.create(path, { count: 0 });
    await file.update(() => ({ count: 1 }));
    expect(await readdir(directory)).toEqual(['state.json']);
  });

  it('is undefined when it does not exist', async () => {
    expect(await StateFile.open(path, schema)).toBeUndefined();
  });

  it.each([
    ['ENOSPC', 'STORAGE_FULL'],
    ['EDQUOT', 'STORAGE_FULL'],
    ['EACCES', 'STORAGE_FAILED'],
    ['EIO', 'STORAGE_FAILED'],
  ])('makes %s of the system %s', (code, expected) => {
    expect(storageError(Object.assign(new Error('x'), { code }), 'cannot write').code).toBe(expected);
  });
});
